import type { z } from 'zod';
import { schemaOf } from '../../shared/method-schema.ts';
import type { ConMIMInput, ConMIMRunConfig } from './config.ts';
import { method } from './method.ts';

/** From any part of a configuration of ConMIM to a complete, valid one. */
export const conmimSchema = schemaOf(method) as unknown as z.ZodType<ConMIMRunConfig, ConMIMInput>;
