;; Dot products of one query (16 bit) with n codes (8 bit), both of a multiple of 16 values, by SIMD: sixteen products
;; a turn, summed in 32 bits. Nothing overflows while |query| <= 2047 and width <= 8192.
(module
  (memory (export "memory") 1)
  (func (export "scan") (param $query i32) (param $codes i32) (param $n i32) (param $width i32) (param $out i32)
    (local $q i32) (local $end i32) (local $sum v128) (local $c v128)
    (block $done
      (loop $rows
        (br_if $done (i32.eqz (local.get $n)))
        (local.set $q (local.get $query))
        (local.set $end (i32.add (local.get $codes) (local.get $width)))
        (local.set $sum (v128.const i32x4 0 0 0 0))
        (loop $row
          (local.set $c (v128.load (local.get $codes)))
          (local.set $sum (i32x4.add (local.get $sum) (i32x4.add
            (i32x4.dot_i16x8_s (i16x8.extend_low_i8x16_s (local.get $c)) (v128.load (local.get $q)))
            (i32x4.dot_i16x8_s (i16x8.extend_high_i8x16_s (local.get $c)) (v128.load offset=16 (local.get $q))))))
          (local.set $codes (i32.add (local.get $codes) (i32.const 16)))
          (local.set $q (i32.add (local.get $q) (i32.const 32)))
          (br_if $row (i32.lt_u (local.get $codes) (local.get $end))))
        (i32.store (local.get $out) (i32.add
          (i32.add (i32x4.extract_lane 0 (local.get $sum)) (i32x4.extract_lane 1 (local.get $sum)))
          (i32.add (i32x4.extract_lane 2 (local.get $sum)) (i32x4.extract_lane 3 (local.get $sum)))))
        (local.set $out (i32.add (local.get $out) (i32.const 4)))
        (local.set $n (i32.sub (local.get $n) (i32.const 1)))
        (br $rows)))))
