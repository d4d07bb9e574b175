// What JavaScript sees: operations of TensorFlow's are registered when this addon is loaded, and it exports what else
// the process may ask of the kernels and of their memory.
#include <node_api.h>

#include <cstring>
#include <string>

#include "arena.h"
#include "products.h"
#include "registration.h"
#include "resident.h"

namespace conmim {
namespace {

/**
 * holdProductsIn("automatic" | "tiles" | "pairs" | "vectors"): whether this processor can; where it cannot, nothing
 * changes.
 */
napi_value holdProductsIn(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value name, answer;
  char given[16] = "";
  napi_get_cb_info(env, info, &count, &name, nullptr, nullptr);
  napi_get_value_string_utf8(env, name, given, sizeof given, nullptr);
  bool can = false;
  const char* const NAMES[] = {"automatic", "tiles", "pairs", "vectors"};
  for (int i = 0; i < 4; i++) {
    if (std::strcmp(given, NAMES[i]) != 0 || !canHold(static_cast<Holder>(i))) continue;
    holder = static_cast<Holder>(i);
    can = true;
  }
  napi_get_boolean(env, can, &answer);
  return answer;
}

/** memory(): bytes that tensors hold in the arena, and those that are kept for them, gaps and all. */
napi_value memory(napi_env env, napi_callback_info) {
  napi_value answer, live, used;
  napi_create_object(env, &answer);
  napi_create_double(env, static_cast<double>(Arena::get().live()), &live);
  napi_create_double(env, static_cast<double>(Arena::get().used()), &used);
  napi_set_named_property(env, answer, "live", live);
  napi_set_named_property(env, answer, "used", used);
  return answer;
}

/** forgetLoading(): what is there only to load TensorFlow. */
napi_value forget(napi_env, napi_callback_info) {
  forgetLoading();
  return nullptr;
}

/** returnFreed(): freed memory that the arena or the C library keeps for later goes back to the system. */
napi_value giveBack(napi_env, napi_callback_info) {
  Arena::get().trim();
  returnFreed();
  return nullptr;
}

} // namespace
} // namespace conmim

NAPI_MODULE_INIT() {
  static const std::string failure = conmim::registerOperations(); // once for a process, whatever loads it again
  if (!failure.empty()) napi_throw_error(env, nullptr, failure.c_str());
  const auto add = [&](const char* name, napi_callback act) {
    napi_value function;
    napi_create_function(env, nullptr, 0, act, nullptr, &function);
    napi_set_named_property(env, exports, name, function);
  };
  add("holdProductsIn", conmim::holdProductsIn);
  add("memory", conmim::memory);
  add("forgetLoading", conmim::forget);
  add("returnFreed", conmim::giveBack);
  napi_value tiles;
  napi_get_boolean(env, conmim::canHold(conmim::Holder::tiles), &tiles);
  napi_set_named_property(env, exports, "hasTiles", tiles);
  return exports;
}
