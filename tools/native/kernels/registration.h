// The kernels as operations of TensorFlow's.
#pragma once
#include <string>

namespace conmim {

/** Registers all kernels as operations of the CPU; to be called once. @returns why TensorFlow refused one, or "" */
std::string registerOperations();

} // namespace conmim
