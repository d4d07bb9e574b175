/**
 * What a form does when it is sent. It is not begun again while it is at work: of a button that is pressed twice, and of
 * Enter that is held down, the first press counts.
 */
export function submits(act: () => Promise<void>): (event: Pick<SubmitEvent, 'preventDefault'>) => void {
  let isAtWork = false;
  return (event) => {
    event.preventDefault();
    if (isAtWork) return;
    isAtWork = true;
    void act().finally(() => {
      isAtWork = false;
    });
  };
}
