/** An image in memory. */
export interface Pixels {
  /** 8-bit sRGB, interleaved: `[height, width, 3]`. */
  data: Uint8Array;
  width: number;
  height: number;
}

/** What a file is, by its first bytes. */
export type ImageFormat = 'jpeg' | 'png' | 'webp' | 'avif' | 'tiff' | 'gif' | 'bmp' | 'netpbm';
