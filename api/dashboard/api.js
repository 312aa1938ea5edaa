// Requests to the HTTP API of the node that served this page. Errors are values with the API's code
// and message; nothing is retried in silence, but a request that was refused for want of a token
// waits until there is one.

const BASE = "/api/v1";
const KEY = "raftmq.token";
/** Longer than the server lets a request take (35 s by default). */
const PATIENCE_MS = 40_000;

export class ApiError extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }

  /** Whether the path itself does not exist, rather than what it was asked for. */
  get lacks() {
    return this.status === 404 && this.code === "unknown_path";
  }
}

let login = async () => { throw new ApiError(401, "unauthorized", "A token is needed."); };
let waiting = null;
let endpoints = null;

/** Who gets a token when one is needed: called with whether the last one was refused. */
export function whenUnauthorized(ask) {
  login = ask;
}

/** The token, in this tab's memory only: it goes with the tab. */
export const token = {
  get: () => sessionStorage.getItem(KEY),
  set: (value) => sessionStorage.setItem(KEY, value),
  clear: () => sessionStorage.removeItem(KEY),
};

/**
 * Asks `path` below /api/v1. The answer: `body` (JSON, or text), `unreachable` (numbers of the nodes
 * that did not answer) and `next` (the cursor of the next page, or null).
 */
export async function ask(path, { method = "GET", patience = PATIENCE_MS } = {}) {
  for (;;) {
    const sent = token.get();
    const response = await send(path, method, patience, sent);
    if (response.status !== 401) return read(response);
    await response.text();
    if (token.get() === sent) await logIn(sent !== null);
  }
}

/** One login for all requests that wait for it. */
function logIn(refused) {
  waiting ??= login(refused).finally(() => { waiting = null; });
  return waiting;
}

async function send(path, method, patience, sent) {
  const headers = sent === null ? {} : { Authorization: `Bearer ${octets(sent)}` };
  try {
    return await fetch(BASE + path, { method, headers, cache: "no-store", signal: AbortSignal.timeout(patience) });
  } catch (error) {
    const late = error.name === "TimeoutError";
    const message = late ? `No answer within ${patience / 1000} s.` : "The node that served this page does not answer.";
    throw new ApiError(0, late ? "too_slow" : "no_answer", message);
  }
}

/** A header carries octets: the UTF-8 of whatever was typed, one character each, so that it is refused and not an error. */
function octets(text) {
  return String.fromCharCode(...new TextEncoder().encode(text));
}

async function read(response) {
  const body = await parse(response);
  if (!response.ok) throw new ApiError(response.status, body?.code, body?.message ?? `Status ${response.status}.`);
  const unreachable = response.headers.get("x-unreachable-nodes");
  return {
    body,
    unreachable: unreachable ? unreachable.split(",").map(Number) : [],
    next: response.headers.get("x-next-cursor"),
  };
}

async function parse(response) {
  let text;
  try {
    text = await response.text();
  } catch {
    throw new ApiError(0, "no_answer", "The answer broke off.");
  }
  const isJson = response.headers.get("content-type")?.startsWith("application/json");
  if (!isJson) return text;
  try {
    return JSON.parse(text);
  } catch {
    throw new ApiError(response.status, "no_json", "The answer cannot be read.");
  }
}

/** A query string of the values that are not empty. */
export function query(values) {
  const given = Object.entries(values).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return given.length ? `?${new URLSearchParams(given)}` : "";
}

/** Asks anew which endpoints there are: the node may have been upgraded. */
export function forgetEndpoints() {
  endpoints = null;
}

/** Whether this version has an endpoint, by the list that it gives itself. */
export async function has(path) {
  endpoints ??= ask("").then(({ body }) => new Set(body.map((endpoint) => endpoint.path)));
  try {
    return (await endpoints).has(path);
  } catch (error) {
    endpoints = null;
    throw error;
  }
}

/** Values of a node's number and of names, as one segment of a path. */
export const segment = encodeURIComponent;
