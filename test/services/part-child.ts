import { EmbeddingPart } from '../../electron/services/embeddings/part.ts';
import { AppError } from '../../shared/errors.ts';

/** A process that takes FILE's part when it is told to, at a moment that others are told too, and holds it. */
const file = process.argv[2]!;
let part: EmbeddingPart | null = null;

process.on('message', (message: { take: number } | { append: number } | { close: true }) => {
  if ('take' in message) {
    while (Date.now() < message.take); // to the millisecond, and no later
    try {
      part = new EmbeddingPart(file, 'the same', 1);
      process.send!('taken');
    } catch (error) {
      process.send!(error instanceof AppError ? error.kind : String(error));
    }
  } else if ('append' in message) {
    part!.append({ images: 1, unreadable: [] }, Float32Array.of(message.append));
    process.send!('appended');
  } else {
    part?.close();
    part = null;
    process.send!('closed');
  }
});
process.once('disconnect', () => process.exit());
process.send!('ready');
