/* failover.mjs against an account at Strong: nothing acknowledged may leave the container. */
process.env.HF_LEVEL = "Strong";
await import("./failover.mjs");
