#include "registration.h"

#include <initializer_list>
#include <type_traits>

#include "call.h"
#include "kernels.h"
#include "tensorflow.h"

namespace conmim {
namespace {

/** Of a kernel without attributes. */
struct None {
  static constexpr std::initializer_list<const char*> SPECS = {};
  explicit None(Construction&) {}
};

template <class Kernel>
struct AttributesOf;
template <>
struct AttributesOf<void (*)(Call&)> {
  using type = None;
};
template <class A>
struct AttributesOf<void (*)(Call&, const A&)> {
  using type = A;
};
template <auto kernel>
using Attributes = typename AttributesOf<decltype(kernel)>::type;

template <auto kernel>
void* create(TF_OpKernelConstruction* construction) {
  Construction from(construction);
  return new Attributes<kernel>(from);
}

template <auto kernel>
void compute([[maybe_unused]] void* attributes, TF_OpKernelContext* context) {
  Call call(context);
  if constexpr (std::is_same_v<Attributes<kernel>, None>) kernel(call);
  else kernel(call, *static_cast<const Attributes<kernel>*>(attributes));
}

template <auto kernel>
void remove(void* attributes) {
  delete static_cast<Attributes<kernel>*>(attributes);
}

std::string failure;

void note(TF_Status* status, const std::string& what) {
  if (TF_GetCode(status) != TF_OK && failure.empty()) failure = what + ": " + TF_Message(status);
}

using Specs = std::initializer_list<const char*>;

void define(const char* name, Specs inputs, Specs outputs, Specs attributes, Specs more = {}) {
  TF_Status* status = TF_NewStatus();
  TF_OpDefinitionBuilder* op = TF_NewOpDefinitionBuilder(name);
  for (const char* spec : inputs) TF_OpDefinitionBuilderAddInput(op, spec);
  for (const char* spec : outputs) TF_OpDefinitionBuilderAddOutput(op, spec);
  for (Specs specs : {attributes, more})
    for (const char* spec : specs) TF_OpDefinitionBuilderAddAttr(op, spec);
  TF_OpDefinitionBuilderSetIsStateful(op, true); // some write to their inputs: none may be left out or done twice
  TF_OpDefinitionBuilderSetShapeInferenceFunction(op, TF_ShapeInferenceContextSetUnknownShape);
  TF_RegisterOpDefinition(op, status);
  note(status, name);
  TF_DeleteStatus(status);
}

/** @param type of the attribute T, where the operation has another kernel for each; else 0 */
template <auto kernel>
void implement(const char* name, TF_DataType type) {
  TF_Status* status = TF_NewStatus();
  TF_KernelBuilder* builder = TF_NewKernelBuilder(name, "CPU", create<kernel>, compute<kernel>, remove<kernel>);
  if (type != 0) TF_KernelBuilder_TypeConstraint(builder, "T", type, status);
  note(status, name);
  TF_RegisterKernelBuilder(name, builder, status);
  note(status, name);
  TF_DeleteStatus(status);
}

/** An operation with one kernel. */
template <auto kernel>
void operation(const char* name, Specs inputs, Specs outputs) {
  define(name, inputs, outputs, Attributes<kernel>::SPECS);
  implement<kernel>(name, TF_DataType{});
}

/** An operation with a kernel for each type that T may be. */
template <auto of_floats, auto of_bf16>
void operation(const char* name, Specs inputs, Specs outputs) {
  define(name, inputs, outputs, Attributes<of_floats>::SPECS, {"T: {float, bfloat16}"});
  implement<of_floats>(name, TF_FLOAT);
  implement<of_bf16>(name, TF_BFLOAT16);
}

} // namespace

std::string registerOperations() {
  operation<layerNorm<float>, layerNorm<bf16>>("ConmimLayerNorm", {"x: float", "w: float", "b: float"},
                                               {"y: T", "stats: float"});
  operation<layerNormGrad<float>, layerNormGrad<bf16>>("ConmimLayerNormGrad",
                                                       {"dy: T", "x: float", "w: float", "stats: float", "into: float"},
                                                       {"dw: float", "db: float"});
  operation<gelu<float>, gelu<bf16>>("ConmimGelu", {"h: T", "bias: float"}, {"y: T"});
  operation<geluGrad<float>, geluGrad<bf16>>("ConmimGeluGrad", {"dy: T", "h: T", "bias: float"}, {"db: float"});
  operation<residual<float>, residual<bf16>>(
      "ConmimResidual", {"t: float", "branch: T", "bias: float", "gamma: float", "factors: float"}, {"y: float"});
  operation<residualGrad<float>, residualGrad<bf16>>(
      "ConmimResidualGrad", {"dt: float", "branch: T", "bias: float", "gamma: float", "factors: float"},
      {"dbranch: T", "dgamma: float", "dbias: float"});
  operation<attend<float>, attend<bf16>>("ConmimAttention", {"qkv: T", "q_bias: float", "v_bias: float", "bias: float"},
                                         {"out: T"});
  operation<attendGrad<float>, attendGrad<bf16>>("ConmimAttentionGrad",
                                                 {"qkv: T", "q_bias: float", "v_bias: float", "bias: float", "dout: T"},
                                                 {"dqkv: T", "dq_bias: float", "dv_bias: float", "dbias: float"});
  operation<batchNorm<float>, batchNorm<bf16>>("ConmimBatchNorm", {"x: T", "gamma: float", "beta: float"},
                                               {"y: T", "stats: float"});
  operation<batchNormGrad<float>, batchNormGrad<bf16>>("ConmimBatchNormGrad",
                                                       {"dy: T", "x: T", "stats: float", "gamma: float", "beta: float"},
                                                       {"dgamma: float", "dbeta: float"});
  operation<columnSum<float>, columnSum<bf16>>("ConmimColumnSum", {"x: T"}, {"sum: float"});
  operation<matMul>("ConmimMatMul", {"a: Ta", "b: Tb"}, {"c: T"});
  operation<sumSquares>("ConmimSumSquares", {"x: count * float"}, {"sum: float"});
  operation<adamW>("ConmimAdamW",
                   {"p: count * float", "g: count * float", "m: count * float", "v: count * float", "scalars: float"},
                   {});
  operation<write>("ConmimWrite", {"into: float", "values: float"}, {});
  operation<zeros>("ConmimZeros", {"shape: int32"}, {"y: float"});
  operation<average>("ConmimAverage", {"teacher: count * float", "student: count * float", "momentum: float"}, {});
  return failure;
}

} // namespace conmim
