export { default } from "./scripts/50-job.mjs";
