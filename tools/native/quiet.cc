// Mutes the process's error stream while TensorFlow is loaded: its libraries write there past Node, before any of
// their own log levels is read. mute() gives a descriptor that unmute() takes back.
#include <fcntl.h>
#include <node_api.h>
#include <unistd.h>

#include <cstdio>

namespace conmim {
namespace {

constexpr int ERRORS = 2;

/** mute(): a descriptor of the error stream as it was, or -1 where it cannot be muted: then it is left as it is. */
napi_value mute(napi_env env, napi_callback_info) {
  std::fflush(stderr);
  int saved = dup(ERRORS);
  const int nowhere = open("/dev/null", O_WRONLY);
  if (saved >= 0 && (nowhere < 0 || dup2(nowhere, ERRORS) < 0)) {
    close(saved);
    saved = -1;
  }
  if (nowhere >= 0) close(nowhere);
  napi_value result;
  napi_create_int32(env, saved, &result);
  return result;
}

/** unmute(descriptor): the error stream is again what it was. */
napi_value unmute(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument;
  int saved = -1;
  napi_get_cb_info(env, info, &count, &argument, nullptr, nullptr);
  napi_get_value_int32(env, argument, &saved);
  std::fflush(stderr);
  if (saved < 0) return nullptr;
  if (dup2(saved, ERRORS) < 0) napi_throw_error(env, nullptr, "The error stream cannot be brought back.");
  close(saved);
  return nullptr;
}

} // namespace
} // namespace conmim

NAPI_MODULE_INIT() {
  const auto add = [&](const char* name, napi_callback act) {
    napi_value function;
    napi_create_function(env, name, NAPI_AUTO_LENGTH, act, nullptr, &function);
    napi_set_named_property(env, exports, name, function);
  };
  add("mute", conmim::mute);
  add("unmute", conmim::unmute);
  return exports;
}
