/** Whether a key is the screen's own: nobody types, no other key is held, and no dialog is over it. */
export function isForScreen(event: KeyboardEvent): boolean {
  const { target } = event;
  const isTyping =
    target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
  return !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey && !document.querySelector('dialog[open]');
}
