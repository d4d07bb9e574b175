// The kernels as operations of TensorFlow's.
#pragma once
#include <string>

namespace conmim {

/** Registers all kernels as operations of the CPU; to be called once. @returns what TensorFlow said against it, or nothing */
std::string registerOperations();

}  // namespace conmim
