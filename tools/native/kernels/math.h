// Numbers as they are stored (float, bfloat16) and functions of them that the compiler makes vectors of.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

namespace conmim {

struct bf16 {
  uint16_t bits;
};

inline float load(const float* p) { return *p; }
inline float load(const bf16* p) {
  const uint32_t bits = static_cast<uint32_t>(p->bits) << 16;
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}
inline void store(float* p, float value) { *p = value; }
/** To nearest, ties to even; what is not a number stays so. */
inline void store(bf16* p, float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  const uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  p->bits = static_cast<uint16_t>(value == value ? rounded : 0x7fc0);
}

/** e^x within 2 units of the last place, for x up to 88; below -87 it is as good as 0 (Cephes, expf.c). */
inline float expFast(float x) {
  x = x < -87.3f ? -87.3f : x;
  x = x > 88.3f ? 88.3f : x;
  const float n = std::floor(x * 1.44269504088896341f + 0.5f);
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float y = 1.9875691500e-4f;
  y = y * r + 1.3981999507e-3f;
  y = y * r + 8.3334519073e-3f;
  y = y * r + 4.1665795894e-2f;
  y = y * r + 1.6666665459e-1f;
  y = y * r + 5.0000001201e-1f;
  y = y * r * r + r + 1.0f;
  // 2^n. Beside 1.5 * 2^23 the last bits of a float are the whole number itself; a cast would leave undefined what
  // becomes of NaN, which here is multiplied with some number, and stays so.
  const float beside = n + 12582912.f;
  uint32_t bits;
  std::memcpy(&bits, &beside, 4);
  bits = (bits + 127) << 23;
  float scale;
  std::memcpy(&scale, &bits, 4);
  return y * scale;
}

/** erf within some 2e-7, by the rational function of Eigen (generic_fast_erf_float). */
inline float erfFast(float v) {
  const float x = v < -4.f ? -4.f : v > 4.f ? 4.f : v;
  const float s = x * x;
  float p = -2.72614225801306e-10f;
  p = p * s + 2.77068142495902e-08f;
  p = p * s + -2.10102402082508e-06f;
  p = p * s + -5.69250639462346e-05f;
  p = p * s + -7.34990630326855e-04f;
  p = p * s + -2.95459980854025e-03f;
  p = p * s + -1.60960333262415e-02f;
  float q = -1.45660718464996e-05f;
  q = q * s + -2.13374055278905e-04f;
  q = q * s + -1.68282697438203e-03f;
  q = q * s + -7.37332916720468e-03f;
  q = q * s + -1.42647390514189e-02f;
  return x * p / q;
}

} // namespace conmim
