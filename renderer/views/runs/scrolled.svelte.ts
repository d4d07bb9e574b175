import { route } from '../../state/router.svelte.ts';

interface Kept {
  /** The address' query: another one shows other lines. */
  query: string;
  top: number;
}

/** Where a list was scrolled to: Back and a reload find it there. Make it while a component is made. */
export class Scrolled {
  top = 0;
  readonly #key: string;
  #isRestored = false;

  constructor(name: string) {
    this.#key = `scroll ${name}`;
    // Of the address that the list was seen at: when it goes, the address is the next screen's already.
    let query = '';
    const [screen] = route.parts;
    $effect(() => {
      if (route.parts[0] === screen && route.id === null) query = JSON.stringify(route.query);
    });
    const keep = () => sessionStorage.setItem(this.#key, JSON.stringify({ query, top: this.top } satisfies Kept));
    $effect(() => {
      window.addEventListener('pagehide', keep);
      return () => {
        window.removeEventListener('pagehide', keep);
        keep();
      };
    });
  }

  /** Scrolls there, once there is something to scroll. */
  restore(view: HTMLElement, isFilled: boolean): void {
    if (this.#isRestored || !isFilled) return;
    this.#isRestored = true;
    const kept = JSON.parse(sessionStorage.getItem(this.#key) ?? 'null') as Kept | null;
    if (kept?.query === JSON.stringify(route.query)) view.scrollTop = kept.top;
  }
}
