/** What electron/services/machine/doctor.ts finds, as far as it is shown. Sizes are bytes. */
export interface DoctorFacts {
  versions: Record<string, string>;
  platform: string;
  cpu: { model: string; cores: number };
  memory: { total: number; free: number };
  gpus: string[];
  backend: { name: string; variant: string | null; device: string; why: string; warnings: string[] };
  advice: string[];
}
