/** What waits in the queue. */
export interface QueueItem {
  kind: 'run' | 'evaluation';
  id: number;
}
