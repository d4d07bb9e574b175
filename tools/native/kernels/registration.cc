#include "registration.h"

#include <initializer_list>

#include "call.h"
#include "kernels.h"
#include "tensorflow.h"

namespace conmim {
namespace {

void* create(TF_OpKernelConstruction* construction) {
  auto* attributes = new Attributes;
  TF_Status* status = TF_NewStatus();
  TF_OpKernelConstruction_GetAttrFloat(construction, "eps", &attributes->eps, status);
  TF_OpKernelConstruction_GetAttrInt64(construction, "heads", &attributes->heads, status);
  TF_OpKernelConstruction_GetAttrInt64(construction, "tokens", &attributes->tokens, status);
  TF_OpKernelConstruction_GetAttrInt64(construction, "flag", &attributes->flag, status);
  TF_OpKernelConstruction_GetAttrInt64(construction, "flag_b", &attributes->flag_b, status);
  TF_OpKernelConstruction_GetAttrInt64(construction, "N", &attributes->count, status);
  TF_OpKernelConstruction_GetAttrInt64(construction, "offset", &attributes->offset, status);
  TF_OpKernelConstruction_GetAttrType(construction, "T", &attributes->type, status);
  if (TF_GetCode(status) != TF_OK) TF_OpKernelConstruction_Failure(construction, status);
  TF_DeleteStatus(status);
  return attributes;
}

template <void (*kernel)(Call&)>
void compute(void* attributes, TF_OpKernelContext* context) {
  Call call(context, *static_cast<Attributes*>(attributes));
  kernel(call);
}

void remove(void* attributes) { delete static_cast<Attributes*>(attributes); }

std::string failure;

void note(TF_Status* status, const std::string& what) {
  if (TF_GetCode(status) != TF_OK && failure.empty()) failure = what + ": " + TF_Message(status);
}

void define(const char* name, std::initializer_list<const char*> inputs, std::initializer_list<const char*> outputs) {
  TF_Status* status = TF_NewStatus();
  TF_OpDefinitionBuilder* op = TF_NewOpDefinitionBuilder(name);
  for (const char* spec : inputs) TF_OpDefinitionBuilderAddInput(op, spec);
  for (const char* spec : outputs) TF_OpDefinitionBuilderAddOutput(op, spec);
  for (const char* spec : {"T: {float, bfloat16} = DT_FLOAT", "eps: float = 0.0", "heads: int = 1", "tokens: int = 1",
                           "flag: int = 0", "flag_b: int = 0", "offset: int = 0", "N: int >= 1 = 1",
                           "A: {float, bfloat16} = DT_FLOAT", "B: {float, bfloat16} = DT_FLOAT"})
    TF_OpDefinitionBuilderAddAttr(op, spec);
  TF_OpDefinitionBuilderSetIsStateful(op, true); // some write to their inputs: none may be left out or done twice
  TF_OpDefinitionBuilderSetShapeInferenceFunction(op, TF_ShapeInferenceContextSetUnknownShape);
  TF_RegisterOpDefinition(op, status);
  note(status, name);
  TF_DeleteStatus(status);
}

template <void (*kernel)(Call&)>
void implement(const char* name, TF_DataType type) {
  TF_Status* status = TF_NewStatus();
  TF_KernelBuilder* builder = TF_NewKernelBuilder(name, "CPU", create, compute<kernel>, remove);
  TF_KernelBuilder_TypeConstraint(builder, "T", type, status);
  note(status, name);
  TF_RegisterKernelBuilder(name, builder, status);
  note(status, name);
  TF_DeleteStatus(status);
}

#define BOTH(name, kernel)                         \
  implement<kernel<float>>(name, TF_FLOAT);        \
  implement<kernel<bf16>>(name, TF_BFLOAT16);

}  // namespace

std::string registerOperations() {
  define("ConmimLayerNorm", {"x: float", "w: float", "b: float"}, {"y: T", "stats: float"});
  BOTH("ConmimLayerNorm", layerNorm)
  define("ConmimLayerNormGrad", {"dy: T", "x: float", "w: float", "stats: float", "into: float"},
         {"dw: float", "db: float"});
  BOTH("ConmimLayerNormGrad", layerNormGrad)
  define("ConmimGelu", {"h: T", "bias: float"}, {"y: T"});
  BOTH("ConmimGelu", gelu)
  define("ConmimGeluGrad", {"dy: T", "h: T", "bias: float"}, {"db: float"});
  BOTH("ConmimGeluGrad", geluGrad)
  define("ConmimResidual", {"t: float", "branch: T", "bias: float", "gamma: float", "factors: float"}, {"y: float"});
  BOTH("ConmimResidual", residual)
  define("ConmimResidualGrad", {"dt: float", "branch: T", "bias: float", "gamma: float", "factors: float"},
         {"dbranch: T", "dgamma: float", "dbias: float"});
  BOTH("ConmimResidualGrad", residualGrad)
  define("ConmimAttention", {"qkv: T", "q_bias: float", "v_bias: float", "bias: float"}, {"out: T"});
  BOTH("ConmimAttention", attend)
  define("ConmimAttentionGrad", {"qkv: T", "q_bias: float", "v_bias: float", "bias: float", "dout: T"},
         {"dqkv: T", "dq_bias: float", "dv_bias: float", "dbias: float"});
  BOTH("ConmimAttentionGrad", attendGrad)
  define("ConmimBatchNorm", {"x: T", "gamma: float", "beta: float"}, {"y: T", "stats: float"});
  BOTH("ConmimBatchNorm", batchNorm)
  define("ConmimBatchNormGrad", {"dy: T", "x: T", "stats: float", "gamma: float", "beta: float"},
         {"dgamma: float", "dbeta: float"});
  BOTH("ConmimBatchNormGrad", batchNormGrad)
  define("ConmimColumnSum", {"x: T"}, {"sum: float"});
  BOTH("ConmimColumnSum", columnSum)
  define("ConmimMatMul", {"a: A", "b: B"}, {"c: T"});
  implement<matMul>("ConmimMatMul", TF_FLOAT);
  implement<matMul>("ConmimMatMul", TF_BFLOAT16);
  define("ConmimSumSquares", {"x: N * float"}, {"sum: float"});
  implement<sumSquares>("ConmimSumSquares", TF_FLOAT);
  define("ConmimAdamW", {"p: N * float", "g: N * float", "m: N * float", "v: N * float", "scalars: float"}, {});
  implement<adamW>("ConmimAdamW", TF_FLOAT);
  define("ConmimWrite", {"into: float", "values: float"}, {});
  implement<write>("ConmimWrite", TF_FLOAT);
  define("ConmimZeros", {"shape: int32"}, {"y: float"});
  implement<zeros>("ConmimZeros", TF_FLOAT);
  define("ConmimAverage", {"teacher: N * float", "student: N * float", "momentum: float"}, {});
  implement<average>("ConmimAverage", TF_FLOAT);
  return failure;
}

}  // namespace conmim
