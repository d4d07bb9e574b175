import type { Shape } from '../../../shared/colours.ts';

/** Pictures that are loaded at a time, and kept. */
const AT_ONCE = 8;
const KEPT = 1500;

/** Pictures of images, by their addresses, loaded as they are asked for; what was asked last comes first. */
export class Pictures {
  readonly #address: (id: number) => string;
  readonly #onload: () => void;
  readonly #known = new Map<string, HTMLImageElement | null>();
  #waiting: string[] = [];
  #loading = 0;

  constructor(address: (id: number) => string, onload: () => void) {
    this.#address = address;
    this.#onload = onload;
  }

  /** Null while it is on its way, or cannot be had. */
  get(id: number): HTMLImageElement | null {
    const address = this.#address(id);
    const picture = this.#known.get(address);
    if (picture === undefined) {
      this.#known.set(address, null);
      this.#waiting.push(address);
      this.#next();
    }
    return picture ?? null;
  }

  #next(): void {
    while (this.#loading < AT_ONCE && this.#waiting.length > 0) {
      const address = this.#waiting.pop()!;
      const picture = new Image();
      this.#loading++;
      const end = () => {
        this.#loading--;
        this.#next();
      };
      picture.onload = () => {
        this.#known.set(address, picture);
        for (const old of this.#known.keys()) {
          if (this.#known.size <= KEPT) break;
          this.#known.delete(old);
        }
        end();
        this.#onload();
      };
      picture.onerror = end;
      picture.src = address;
    }
  }
}

/** A point of a class, drawn once and stamped many times. @param dots of the screen for a pixel */
export function stamp(
  { colour, shape }: { colour: string; shape: Shape },
  radius: number,
  edge: string,
  dots: number,
): HTMLCanvasElement {
  const canvas = document.createElement('canvas');
  const half = radius + 1.5;
  canvas.width = canvas.height = Math.ceil(2 * half * dots);
  const context = canvas.getContext('2d')!;
  context.scale(dots, dots);
  context.translate(half, half);
  context.beginPath();
  if (shape === 'circle') context.arc(0, 0, radius, 0, 2 * Math.PI);
  else if (shape === 'square') context.rect(-radius * 0.9, -radius * 0.9, radius * 1.8, radius * 1.8);
  else if (shape === 'triangle') {
    context.moveTo(0, -radius * 1.15);
    context.lineTo(radius * 1.1, radius);
    context.lineTo(-radius * 1.1, radius);
  } else {
    context.moveTo(0, -radius * 1.25);
    context.lineTo(radius * 1.25, 0);
    context.lineTo(0, radius * 1.25);
    context.lineTo(-radius * 1.25, 0);
  }
  context.closePath();
  context.fillStyle = colour;
  context.fill();
  context.strokeStyle = edge;
  context.lineWidth = 0.5;
  context.stroke();
  return canvas;
}
