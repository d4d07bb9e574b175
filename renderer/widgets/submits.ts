/** What a button begins. It is not begun again while it is at work: of a button that is pressed twice the first press counts. */
export function once(act: () => Promise<void>): () => Promise<void> {
  let isAtWork = false;
  return async () => {
    if (isAtWork) return;
    isAtWork = true;
    try {
      await act();
    } finally {
      isAtWork = false;
    }
  };
}

/** What a form does when it is sent: once, also of Enter that is held down. */
export function submits(act: () => Promise<void>): (event: Pick<SubmitEvent, 'preventDefault'>) => void {
  const begin = once(act);
  return (event) => {
    event.preventDefault();
    void begin();
  };
}
