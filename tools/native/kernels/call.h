// What a kernel is called with: TensorFlow's context of one execution, and the attributes of its operation.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "arena.h"
#include "tensorflow.h"

namespace conmim {

template <class T>
constexpr TF_DataType typeOf() {
  return sizeof(T) == 4 ? TF_FLOAT : TF_BFLOAT16;
}

/** The attributes of an operation, as its kernel reads them when it is made. */
class Construction {
 public:
  explicit Construction(TF_OpKernelConstruction* construction) : construction_(construction) {}
  ~Construction() {
    if (TF_GetCode(status_) != TF_OK) TF_OpKernelConstruction_Failure(construction_, status_);
    TF_DeleteStatus(status_);
  }
  float number(const char* name) { return read<float>(TF_OpKernelConstruction_GetAttrFloat, name); }
  int64_t integer(const char* name) { return read<int64_t>(TF_OpKernelConstruction_GetAttrInt64, name); }
  bool flag(const char* name) { return read<unsigned char>(TF_OpKernelConstruction_GetAttrBool, name) != 0; }
  TF_DataType type(const char* name) { return read<TF_DataType>(TF_OpKernelConstruction_GetAttrType, name); }

 private:
  /** Nothing is read after a failure: the first is what TensorFlow says. */
  template <class T>
  T read(void (*get)(TF_OpKernelConstruction*, const char*, T*, TF_Status*), const char* name) {
    T value{};
    if (TF_GetCode(status_) == TF_OK) get(construction_, name, &value, status_);
    return value;
  }
  TF_OpKernelConstruction* construction_;
  TF_Status* status_ = TF_NewStatus();
};

/** One execution of a kernel: its inputs and outputs, released at its end. */
class Call {
 public:
  explicit Call(TF_OpKernelContext* context) : context_(context) {}
  ~Call() {
    for (TF_Tensor* t : held_) TF_DeleteTensor(t);
    TF_DeleteStatus(status_);
  }
  TF_Tensor* tensor(int i) {
    TF_Tensor* t = nullptr;
    TF_GetInput(context_, i, &t, status_);
    held_.push_back(t);
    return t;
  }
  template <class T>
  T* in(int i) {
    return static_cast<T*>(TF_TensorData(tensor(i)));
  }
  /** Null for an input without values: what is optional is left out so. */
  const float* optional(int i) {
    TF_Tensor* t = tensor(i);
    return TF_TensorElementCount(t) == 0 ? nullptr : static_cast<const float*>(TF_TensorData(t));
  }
  template <class T>
  T* out(int i, const std::vector<int64_t>& shape) {
    int64_t count = 1;
    for (int64_t d : shape) count *= d;
    const size_t bytes = count * sizeof(T);
    const int rank = static_cast<int>(shape.size());
    void* memory = bytes < Arena::SMALLEST ? nullptr : Arena::get().allocate(bytes);
    TF_Tensor* t;
    if (memory) {
      const auto give_back = [](void* data, size_t size, void*) { Arena::get().release(data, size); };
      t = TF_NewTensor(typeOf<T>(), shape.data(), rank, memory, bytes, give_back, nullptr);
      TF_SetOutput(context_, i, t, status_);
    } else {
      t = TF_AllocateOutput(context_, i, typeOf<T>(), shape.data(), rank, bytes, status_);
    }
    held_.push_back(t);
    return static_cast<T*>(TF_TensorData(t));
  }
  /** The operation fails, and says so. */
  void fail(const char* why) {
    TF_SetStatus(status_, TF_INVALID_ARGUMENT, why);
    TF_OpKernelContext_Failure(context_, status_);
  }
  int64_t size(int i) { return TF_TensorElementCount(tensor(i)); }
  int64_t dim(int i, int axis) { return TF_Dim(tensor(i), axis); }

 private:
  TF_OpKernelContext* context_;
  TF_Status* status_ = TF_NewStatus();
  std::vector<TF_Tensor*> held_;
};

} // namespace conmim
