// Loaded into the Hugging Face MCP server of tests, whose address of the Hub is fixed: whatever it asks of
// huggingface.co goes to the Hub on loopback that HF_ENDPOINT names, and to no other place.
const dns = require("node:dns/promises");
const { syncBuiltinESMExports } = require("node:module");

const hub = process.env.HF_ENDPOINT;
const real = globalThis.fetch;

// It looks up where it connects to and refuses private addresses; nothing is sent to this one.
dns.lookup = async () => [{ address: "1.1.1.1", family: 4 }];
syncBuiltinESMExports();

globalThis.fetch = async (input, init) => {
  const url = new URL(typeof input === "string" || input instanceof URL ? input : input.url);
  if (url.hostname !== "huggingface.co") throw new Error(`${url.hostname} cannot be reached in a test`);
  return real(hub + url.pathname + url.search, init);
};
