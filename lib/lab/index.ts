export type { Experiment, Finding, Judgement, Plot } from './experiment';
export { experiments } from './experiments/index';
export { Lab } from './lab';
