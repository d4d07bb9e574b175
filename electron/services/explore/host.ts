import type {
  AlikeView,
  AttentionView,
  ColoursView,
  ExplainView,
  GroupsView,
  Input,
  LookupAccuracy,
  LookupView,
  RetrievalView,
  TravelView,
} from '../../../shared/contract/index.ts';
import { AppError } from '../../../shared/errors.ts';
import { workerFile } from '../../files/project.ts';
import { AskedProcess, askProcess } from '../../processes/asked-process.ts';
import type { JobOptions } from '../ground/jobs.ts';

/** What the process of Explore is asked: what each question takes, and what it gives. */
export interface ExploreQuestions {
  lookup: [Input<'explore.lookup'>, LookupView];
  explain: [Input<'explore.explain'>, ExplainView];
  groups: [Input<'explore.groups'>, GroupsView];
  accuracy: [Input<'explore.accuracy'>, LookupAccuracy];
  retrieve: [Input<'retrieval.search'>, RetrievalView];
  alike: [Input<'alike.search'>, AlikeView];
  travel: [Input<'travel.ask'>, TravelView];
  colours: [Input<'explore.colours'>, ColoursView];
  attention: [Input<'explore.attention'>, AttentionView];
  map: [Input<'explore.map-compute'>, { images: number }];
}

/** An idle process is ended after this, so that its memory is free, ms. */
const IDLE = 5 * 60_000;

/** Starts the process that answers when it is first asked, and again where it was lost. */
export class ExploreHost {
  readonly #database: string;
  #process: AskedProcess<ExploreQuestions> | null = null;
  #idle: NodeJS.Timeout | null = null;

  constructor(database: string) {
    this.#database = database;
  }

  lookup(input: Input<'explore.lookup'>): Promise<LookupView> {
    return this.#ask('lookup', input);
  }

  explain(input: Input<'explore.explain'>): Promise<ExplainView> {
    return this.#ask('explain', input);
  }

  groups(input: Input<'explore.groups'>): Promise<GroupsView> {
    return this.#ask('groups', input);
  }

  retrieve(input: Input<'retrieval.search'>): Promise<RetrievalView> {
    return this.#ask('retrieve', input);
  }

  alike(input: Input<'alike.search'>): Promise<AlikeView> {
    return this.#ask('alike', input);
  }

  travel(input: Input<'travel.ask'>): Promise<TravelView> {
    return this.#ask('travel', input);
  }

  colours(input: Input<'explore.colours'>): Promise<ColoursView> {
    return this.#ask('colours', input);
  }

  attention(input: Input<'explore.attention'>): Promise<AttentionView> {
    return this.#ask('attention', input);
  }

  accuracy(input: Input<'explore.accuracy'>, options: JobOptions): Promise<LookupAccuracy> {
    return this.#apart('accuracy', input, options);
  }

  map(input: Input<'explore.map-compute'>, options: JobOptions): Promise<{ images: number }> {
    return this.#apart('map', input, options);
  }

  /** In a process of its own, which cancelling ends. */
  #apart<K extends 'accuracy' | 'map'>(kind: K, input: ExploreQuestions[K][0], options: JobOptions) {
    return askProcess<ExploreQuestions, K>(workerFile('explore'), [this.#database], kind, input, {
      ...options,
      ...WORDS,
    });
  }

  close(): void {
    if (this.#idle) clearTimeout(this.#idle);
    this.#process?.end(new AppError('canceled', 'It was ended.'));
    this.#process = null;
  }

  #ask<K extends keyof ExploreQuestions>(kind: K, input: ExploreQuestions[K][0]): Promise<ExploreQuestions[K][1]> {
    if (this.#process?.isEnded) this.#process = null;
    this.#process ??= new AskedProcess(workerFile('explore'), [this.#database], WORDS);
    if (this.#idle) clearTimeout(this.#idle);
    this.#idle = setTimeout(() => this.#process?.open === 0 && this.close(), IDLE);
    this.#idle.unref();
    return this.#process.ask(kind, input);
  }
}

const WORDS = { does: 'answers Explore', next: 'Ask again; it is started anew. Too little memory ends it so.' };
