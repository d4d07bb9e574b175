// The loader's arithmetic on 8-bit RGB, for electron/data: what Pillow computes, to the last bit. What each function
// does is said, in plain JavaScript, by its twin in electron/data/augment-ops.ts and resample.ts, which it is tested
// against. Compiled without contraction of products and sums: where Pillow truncates, a float's last bit decides.
#include <node_api.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace conmim {
namespace {

/** Pixels at a time: they and what is made of them stay in the first cache. */
constexpr int BLOCK = 256;

/** The three channels of a block apart, which vectors need, and back. */
struct Planes {
  int32_t r[BLOCK], g[BLOCK], b[BLOCK];
  void read(const uint8_t* rgb, int n) {
    for (int i = 0; i < n; i++) {
      r[i] = rgb[3 * i];
      g[i] = rgb[3 * i + 1];
      b[i] = rgb[3 * i + 2];
    }
  }
  void write(uint8_t* rgb, int n) const {
    for (int i = 0; i < n; i++) {
      rgb[3 * i] = static_cast<uint8_t>(r[i]);
      rgb[3 * i + 1] = static_cast<uint8_t>(g[i]);
      rgb[3 * i + 2] = static_cast<uint8_t>(b[i]);
    }
  }
};

template <class Work>
void inBlocks(uint8_t* rgb, size_t bytes, const Work& work) {
  Planes planes;
  for (size_t at = 0; at + 3 <= bytes; at += 3 * BLOCK) {
    const int n = static_cast<int>(std::min<size_t>(BLOCK, (bytes - at) / 3));
    planes.read(rgb + at, n);
    work(planes, n);
    planes.write(rgb + at, n);
  }
}

inline int32_t luma(int32_t r, int32_t g, int32_t b) { return (r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16; }

inline int32_t blend(int32_t from, int32_t value, float factor) {
  float mixed = static_cast<float>(from) + factor * static_cast<float>(value - from);
  mixed = mixed > 0.f ? mixed : 0.f; // 0 for NaN too
  mixed = mixed > 255.f ? 255.f : mixed;
  return static_cast<int32_t>(mixed);
}

void saturation(uint8_t* rgb, size_t bytes, float factor) {
  inBlocks(rgb, bytes, [factor](Planes& p, int n) {
#pragma omp simd
    for (int i = 0; i < n; i++) {
      const int32_t grey = luma(p.r[i], p.g[i], p.b[i]);
      p.r[i] = blend(grey, p.r[i], factor);
      p.g[i] = blend(grey, p.g[i], factor);
      p.b[i] = blend(grey, p.b[i], factor);
    }
  });
}

void grayscale(uint8_t* rgb, size_t bytes) {
  inBlocks(rgb, bytes, [](Planes& p, int n) {
#pragma omp simd
    for (int i = 0; i < n; i++) p.r[i] = p.g[i] = p.b[i] = luma(p.r[i], p.g[i], p.b[i]);
  });
}

double lumaSum(const uint8_t* rgb, size_t bytes) {
  uint64_t sum = 0;
  Planes p;
  for (size_t at = 0; at + 3 <= bytes; at += 3 * BLOCK) {
    const int n = static_cast<int>(std::min<size_t>(BLOCK, (bytes - at) / 3));
    p.read(rgb + at, n);
    int32_t part = 0;
#pragma omp simd reduction(+ : part)
    for (int i = 0; i < n; i++) part += luma(p.r[i], p.g[i], p.b[i]);
    sum += static_cast<uint64_t>(part);
  }
  return static_cast<double>(sum);
}

/**
 * Quotients and sums of 32-bit floats as they are: rounding a double of these to a float is the same as computing in
 * floats (Figueroa, 1995). Products with what is a double in the twin stay doubles.
 */
void hue(uint8_t* rgb, size_t bytes, int32_t shift) {
  inBlocks(rgb, bytes, [shift](Planes& p, int n) {
#pragma omp simd
    for (int i = 0; i < n; i++) {
      const int32_t r = p.r[i], g = p.g[i], b = p.b[i];
      const int32_t most = std::max(r, std::max(g, b)), least = std::min(r, std::min(g, b));
      const int32_t range = most - least;
      const float span = static_cast<float>(range == 0 ? 1 : range);
      const float rc = static_cast<float>(most - r) / span;
      const float gc = static_cast<float>(most - g) / span;
      const float bc = static_cast<float>(most - b) / span;
      const double rd = rc, gd = gc, bd = bc;
      const double sixthsOf = r == most ? bd - gd : g == most ? 2. + rd - bd : 4. + gd - rd;
      const double turn = static_cast<double>(static_cast<float>(sixthsOf)) / 6. + 1.;
      const double whole = turn >= 1. ? turn - 1. : turn;
      const int32_t h = static_cast<int32_t>(static_cast<double>(static_cast<float>(whole)) * 255.) + shift;
      const float share = static_cast<float>(range) / static_cast<float>(most == 0 ? 1 : most);
      const float s = static_cast<float>(static_cast<int32_t>(static_cast<double>(share) * 255.)) / 255.f;
      const double sixth = static_cast<double>((h & 255) * 6) / 255.;
      const int32_t sector = static_cast<int32_t>(sixth);
      const double f = static_cast<float>(sixth - static_cast<double>(sector));
      const double m = most, sd = s;
      const int32_t pv = static_cast<int32_t>(m * (1. - sd) + .5);
      const int32_t qv = static_cast<int32_t>(m * (1. - sd * f) + .5);
      const int32_t tv = static_cast<int32_t>(m * (1. - sd * (1. - f)) + .5);
      const int32_t c = sector == 6 ? 0 : sector;
      const int32_t nr = c == 0 || c == 5 ? most : c == 1 ? qv : c == 4 ? tv : pv;
      const int32_t ng = c == 1 || c == 2 ? most : c == 0 ? tv : c == 3 ? qv : pv;
      const int32_t nb = c == 3 || c == 4 ? most : c == 2 ? tv : c == 5 ? qv : pv;
      p.r[i] = range == 0 ? r : nr; // grey has no hue
      p.g[i] = range == 0 ? g : ng;
      p.b[i] = range == 0 ? b : nb;
    }
  });
}

void flip(uint8_t* rgb, size_t bytes, size_t width) {
  std::vector<uint8_t> line(3 * width);
  for (size_t row = 0; row + 3 * width <= bytes; row += 3 * width) {
    std::memcpy(line.data(), rgb + row, 3 * width);
    uint8_t* to = rgb + row;
    for (const uint8_t* from = line.data() + 3 * (width - 1); to < rgb + row + 3 * width; from -= 3, to += 3) {
      to[0] = from[0];
      to[1] = from[1];
      to[2] = from[2];
    }
  }
}

/** Box blurs down the columns of `[n][lanes]`, all lanes at once; edges are repeated. `other` is as large. */
void blurColumns(std::vector<uint8_t>& image, std::vector<uint8_t>& other, size_t n, size_t lanes, int r,
                 uint32_t inner, uint32_t outer) {
  std::vector<uint32_t> sums(lanes);
  for (int pass = 0; pass < 3; pass++) {
    const uint8_t* from = image.data();
    const auto row = [&](int64_t y) {
      return from + static_cast<size_t>(std::clamp<int64_t>(y, 0, static_cast<int64_t>(n) - 1)) * lanes;
    };
    uint32_t* sum = sums.data();
    std::fill(sums.begin(), sums.end(), 0u);
    for (int k = -r; k <= r; k++) {
      const uint8_t* line = row(k);
      for (size_t x = 0; x < lanes; x++) sum[x] += line[x];
    }
    for (size_t y = 0; y < n; y++) {
      const int64_t at = static_cast<int64_t>(y);
      const uint8_t *left = row(at - r - 1), *right = row(at + r + 1), *leaves = row(at - r);
      uint8_t* to = other.data() + y * lanes;
#pragma omp simd
      for (size_t x = 0; x < lanes; x++) {
        const uint32_t sides = static_cast<uint32_t>(left[x]) + right[x];
        to[x] = static_cast<uint8_t>((sum[x] * inner + sides * outer + 0x800000u) >> 24);
        sum[x] += static_cast<uint32_t>(right[x]) - leaves[x];
      }
    }
    image.swap(other);
  }
}

/** Pixels of `[height][width]` to `[width][height]`, in tiles that stay in the cache. */
void transpose(const uint8_t* from, uint8_t* to, size_t width, size_t height) {
  constexpr size_t TILE = 32;
  for (size_t y0 = 0; y0 < height; y0 += TILE)
    for (size_t x0 = 0; x0 < width; x0 += TILE)
      for (size_t y = y0; y < std::min(height, y0 + TILE); y++)
        for (size_t x = x0; x < std::min(width, x0 + TILE); x++)
          for (size_t c = 0; c < 3; c++) to[3 * (x * height + y) + c] = from[3 * (y * width + x) + c];
}

/** Across first, as down the columns of the transposed picture, then down. */
void boxBlurs(uint8_t* rgb, size_t width, size_t height, int r, uint32_t inner, uint32_t outer) {
  std::vector<uint8_t> image(3 * width * height), other(image.size());
  transpose(rgb, image.data(), width, height);
  blurColumns(image, other, width, 3 * height, r, inner, outer);
  transpose(image.data(), other.data(), height, width);
  blurColumns(other, image, height, 3 * width, r, inner, outer);
  std::memcpy(rgb, other.data(), other.size());
}

struct Weights {
  const int32_t *first, *count, *values;
  int taps;
  size_t size;
};
constexpr int PRECISION = 22;
constexpr int32_t HALF = 1 << (PRECISION - 1);

inline uint8_t toByte(int32_t sum) {
  const int32_t v = sum >> PRECISION;
  return static_cast<uint8_t>(v < 0 ? 0 : v > 255 ? 255 : v);
}

typedef int32_t Four __attribute__((vector_size(16)));
inline Four load(const int32_t* at) {
  Four value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

/** Lines at a time: a weight is read once for all of them. */
constexpr size_t LINES = 4;

/**
 * Weighted sums across of LINES lines, which are given as 32-bit numbers. A pixel is handled with the number after it:
 * four lanes, of which the last is overwritten by the next pixel.
 */
void acrossLines(const int32_t* from, size_t stride, const Weights& w, int32_t* sums, size_t sumStride) {
  for (size_t x = 0; x < w.size; x++) {
    Four a = {HALF, HALF, HALF, HALF}, b = a, c = a, d = a;
    const int32_t* values = w.values + x * w.taps;
    const int32_t* at = from + 3 * static_cast<size_t>(w.first[x]);
    for (int t = 0, n = w.count[x]; t < n; t++, at += 3) {
      const int32_t weight = values[t];
      const Four weights = {weight, weight, weight, weight};
      a += weights * load(at);
      b += weights * load(at + stride);
      c += weights * load(at + 2 * stride);
      d += weights * load(at + 3 * stride);
    }
    int32_t* to = sums + 3 * x;
    std::memcpy(to, &a, sizeof a);
    std::memcpy(to + sumStride, &b, sizeof b);
    std::memcpy(to + 2 * sumStride, &c, sizeof c);
    std::memcpy(to + 3 * sumStride, &d, sizeof d);
  }
}

/** A box of `rows` lines from `data` on, which are `stride` bytes apart. */
void resample(const uint8_t* data, size_t stride, size_t rows, const Weights& across, const Weights& down,
              uint8_t* out) {
  const size_t line = 3 * across.size;
  size_t used = 0; // numbers of a line that have a weight
  for (size_t x = 0; x < across.size; x++)
    used = std::max(used, 3 * static_cast<size_t>(across.first[x] + across.count[x]));
  static thread_local std::vector<uint8_t> middle;
  static thread_local std::vector<int32_t> lines, sums;
  middle.resize(rows * line);
  lines.assign(LINES * (used + 1), 0);
  sums.resize(LINES * (line + 1));
  for (size_t y = 0; y < rows; y += LINES) {
    const size_t n = std::min(LINES, rows - y);
    for (size_t k = 0; k < n; k++) {
      const uint8_t* from = data + (y + k) * stride;
      int32_t* to = lines.data() + k * (used + 1);
#pragma omp simd
      for (size_t i = 0; i < used; i++) to[i] = from[i];
    }
    acrossLines(lines.data(), used + 1, across, sums.data(), line + 1);
    for (size_t k = 0; k < n; k++) {
      const int32_t* from = sums.data() + k * (line + 1);
      uint8_t* to = middle.data() + (y + k) * line;
#pragma omp simd
      for (size_t i = 0; i < line; i++) to[i] = toByte(from[i]);
    }
  }
  for (size_t row = 0; row < down.size; row++) {
    int32_t* sum = sums.data();
    std::fill(sum, sum + line, HALF);
    const int32_t* values = down.values + row * down.taps;
    const uint8_t* from = middle.data() + static_cast<size_t>(down.first[row]) * line;
    for (int t = 0, n = down.count[row]; t < n; t++, from += line) {
      const int32_t weight = values[t];
#pragma omp simd
      for (size_t x = 0; x < line; x++) sum[x] += weight * from[x];
    }
    uint8_t* to = out + row * line;
#pragma omp simd
    for (size_t x = 0; x < line; x++) to[x] = toByte(sum[x]);
  }
}

// ---- What JavaScript calls. Sizes are checked here: nothing is read or written beyond an array. ----

struct Array {
  uint8_t* data = nullptr;
  size_t length = 0; // elements
  bool is = false;
};

/** The arguments of a call; `failed` once one was not what it must be. */
class Arguments {
 public:
  Arguments(napi_env env, napi_callback_info info) : env_(env) {
    napi_get_cb_info(env, info, &count_, values_, nullptr, nullptr);
  }
  Array array(size_t i, napi_typedarray_type type) { return arrayOf(at(i), type); }
  Array bytes(size_t i) { return array(i, napi_uint8_array); }
  double number(size_t i) {
    double value = 0;
    if (napi_get_value_double(env_, at(i), &value) != napi_ok) failed = true;
    return value;
  }
  size_t size(size_t i) {
    const double value = number(i);
    if (!(value >= 0 && value < 9e15)) failed = true;
    return failed ? 0 : static_cast<size_t>(value);
  }
  /** As JavaScript's own operators take a number for an integer. */
  int32_t integer(size_t i) {
    int32_t value = 0;
    if (napi_get_value_int32(env_, at(i), &value) != napi_ok) failed = true;
    return value;
  }
  Weights weights(size_t i, size_t inputs) {
    const Array first = field(i, "first"), count = field(i, "count"), values = field(i, "values");
    double taps = 0;
    napi_value value;
    if (napi_get_named_property(env_, at(i), "taps", &value) != napi_ok ||
        napi_get_value_double(env_, value, &taps) != napi_ok || !(taps >= 1 && taps < 1e6))
      failed = true;
    Weights w{reinterpret_cast<int32_t*>(first.data), reinterpret_cast<int32_t*>(count.data),
              reinterpret_cast<int32_t*>(values.data), static_cast<int>(taps), first.length};
    if (failed || count.length != w.size || values.length < w.size * w.taps) return fail(w);
    for (size_t x = 0; x < w.size; x++) {
      const int64_t from = w.first[x], n = w.count[x];
      if (from < 0 || n < 0 || n > w.taps || from + n > static_cast<int64_t>(inputs)) return fail(w);
      int64_t sum = 0; // of bytes that are all 255, at most
      for (int64_t t = 0; t < n; t++) sum += 255 * std::abs(static_cast<int64_t>(w.values[x * w.taps + t]));
      if (sum > INT32_MAX - HALF) return fail(w);
    }
    return w;
  }
  bool failed = false;

 private:
  napi_value at(size_t i) { return values_[i]; }
  Weights fail(Weights w) {
    failed = true;
    return w;
  }
  Array arrayOf(napi_value value, napi_typedarray_type wanted) {
    Array found;
    napi_typedarray_type type;
    void* data = nullptr;
    if (napi_is_typedarray(env_, value, &found.is) != napi_ok || !found.is ||
        napi_get_typedarray_info(env_, value, &type, &found.length, &data, nullptr, nullptr) != napi_ok ||
        type != wanted)
      failed = true;
    found.data = static_cast<uint8_t*>(data);
    return failed ? Array{} : found;
  }
  Array field(size_t i, const char* name) {
    napi_value value;
    if (napi_get_named_property(env_, at(i), name, &value) != napi_ok) {
      failed = true;
      return {};
    }
    return arrayOf(value, napi_int32_array);
  }
  napi_env env_;
  size_t count_ = 8;
  napi_value values_[8] = {};
};

/** A function of JavaScript: `act` returns false for arguments that do not fit together. */
template <bool (*act)(napi_env, Arguments&, napi_value*)>
napi_value call(napi_env env, napi_callback_info info) {
  Arguments arguments(env, info);
  napi_value result = nullptr;
  if (!act(env, arguments, &result) || arguments.failed) {
    napi_throw_range_error(env, nullptr, "imaging: arguments that do not fit together");
    return nullptr;
  }
  return result;
}

bool callHue(napi_env, Arguments& a, napi_value*) {
  const Array rgb = a.bytes(0);
  const int32_t shift = a.integer(1);
  if (!a.failed) hue(rgb.data, rgb.length, shift & 255);
  return true;
}
bool callSaturation(napi_env, Arguments& a, napi_value*) {
  const Array rgb = a.bytes(0);
  const double factor = a.number(1);
  if (!a.failed) saturation(rgb.data, rgb.length, static_cast<float>(factor));
  return true;
}
bool callGrayscale(napi_env, Arguments& a, napi_value*) {
  const Array rgb = a.bytes(0);
  if (!a.failed) grayscale(rgb.data, rgb.length);
  return true;
}
bool callLumaSum(napi_env env, Arguments& a, napi_value* result) {
  const Array rgb = a.bytes(0);
  return !a.failed && napi_create_double(env, lumaSum(rgb.data, rgb.length), result) == napi_ok;
}
bool callMapValues(napi_env, Arguments& a, napi_value*) {
  const Array rgb = a.bytes(0), table = a.bytes(1);
  if (a.failed || table.length != 256) return false;
  uint8_t own[256]; // apart from the picture, as far as the compiler knows
  std::memcpy(own, table.data, 256);
  for (size_t i = 0; i < rgb.length; i++) rgb.data[i] = own[rgb.data[i]];
  return true;
}
bool callFlip(napi_env, Arguments& a, napi_value*) {
  const Array rgb = a.bytes(0);
  const size_t width = a.size(1);
  if (a.failed || width == 0) return false;
  flip(rgb.data, rgb.length, width);
  return true;
}
bool callBoxBlurs(napi_env, Arguments& a, napi_value*) {
  const Array rgb = a.bytes(0);
  const size_t width = a.size(1), height = a.size(2), radius = a.size(3), inner = a.size(4), outer = a.size(5);
  if (a.failed || width == 0 || height == 0 || rgb.length / 3 / width != height || rgb.length != 3 * width * height ||
      radius > 1 << 20)
    return false;
  boxBlurs(rgb.data, width, height, static_cast<int>(radius), static_cast<uint32_t>(inner),
           static_cast<uint32_t>(outer));
  return true;
}
bool callResample(napi_env, Arguments& a, napi_value*) {
  const Array data = a.bytes(0), out = a.bytes(6);
  const size_t start = a.size(1), width = a.size(2), rows = a.size(3);
  if (a.failed || width == 0 || rows == 0) return false;
  const size_t stride = 3 * width;
  // The box lies within the picture: its first line begins at `start`, and no line goes beyond the right edge.
  if (width > data.length || rows > data.length / stride || start >= data.length) return false;
  const Weights across = a.weights(4, (stride - start % stride) / 3), down = a.weights(5, rows);
  if (a.failed || start / stride + rows > data.length / stride || out.length != 3 * across.size * down.size)
    return false;
  resample(data.data + start, stride, rows, across, down, out.data);
  return true;
}
bool callNormalise(napi_env, Arguments& a, napi_value*) {
  const Array rgb = a.bytes(0), tables = a.array(1, napi_float32_array), out = a.array(2, napi_float32_array);
  if (a.failed || tables.length != 3 * 256 || out.length != rgb.length) return false;
  float own[3][256];
  std::memcpy(own, tables.data, sizeof own);
  float* to = reinterpret_cast<float*>(out.data);
  for (size_t i = 0; i + 3 <= rgb.length; i += 3) {
    to[i] = own[0][rgb.data[i]];
    to[i + 1] = own[1][rgb.data[i + 1]];
    to[i + 2] = own[2][rgb.data[i + 2]];
  }
  return true;
}

} // namespace
} // namespace conmim

NAPI_MODULE_INIT() {
  using namespace conmim;
  const auto add = [&](const char* name, napi_callback function) {
    napi_value value;
    if (napi_create_function(env, name, NAPI_AUTO_LENGTH, function, nullptr, &value) == napi_ok)
      napi_set_named_property(env, exports, name, value);
  };
  add("hue", call<callHue>);
  add("saturation", call<callSaturation>);
  add("grayscale", call<callGrayscale>);
  add("lumaSum", call<callLumaSum>);
  add("mapValues", call<callMapValues>);
  add("flip", call<callFlip>);
  add("boxBlurs", call<callBoxBlurs>);
  add("resample", call<callResample>);
  add("normalise", call<callNormalise>);
  return exports;
}
