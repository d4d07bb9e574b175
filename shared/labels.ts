/** Names of the parts of a split; a class may have one of them (a train is a vehicle), all of them together do not. */
const PARTS = new Set('train training val valid validation dev test testing eval evaluation holdout'.split(' '));

/** What is said where class folders are the parts of a split; empty where they are not. @param labels of a dataset */
export function splitWords(labels: readonly string[]): string {
  if (labels.length < 2 || !labels.every((label) => PARTS.has(label.toLowerCase()))) return '';
  const names = labels.map((label) => `"${label}"`).join(', ');
  return (
    `The class folders are ${names}: these look like the parts of a split, and not like classes. Import each part as ` +
    'a dataset of its own, with the folders of the classes in it, and evaluate with one as --dataset and another as ' +
    '--test-dataset.'
  );
}
