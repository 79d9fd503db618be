/** The API, called as any client calls it: JSON over `/api/v2`, with the session cookie. */

const BASE = "/api/v2";

/** What went wrong with a call, in words for the person who made it. */
export class ApiError extends Error {
  /**
   * @param {number} status 0 if there was no answer
   * @param {string} message
   * @param {string} detail
   * @param {Record<string, string>} fields what is wrong, by the name of the field
   */
  constructor(status, message, detail = "", fields = {}) {
    super(message);
    this.status = status;
    this.detail = detail;
    this.fields = fields;
  }
}

const meta = () => document.querySelector('meta[name="csrf-token"]');

/** Told when a call finds that the session has ended. */
let onSignedOut = () => {};

export function whenSignedOut(listener) {
  onSignedOut = listener;
}

export const get = (path, options) => call("GET", path, undefined, options);
export const post = (path, body, options) => call("POST", path, body, options);
export const put = (path, body, options) => call("PUT", path, body, options);
export const patch = (path, body, options) => call("PATCH", path, body, options);
export const del = (path, options) => call("DELETE", path, undefined, options);

/** A segment of a path. */
export const segment = encodeURIComponent;

/**
 * Calls the API and gives the body of the answer, `null` if it has none.
 *
 * @param {{ quiet?: boolean, signal?: AbortSignal }} options `quiet` if 401 is an answer
 *     like any other, and not the end of the session
 * @throws {ApiError}
 */
async function call(method, path, body, { quiet = false, signal } = {}) {
  let response = await send(method, path, body, signal);
  if (await isTokenRefused(response)) {
    // The browser has lost the cookie that this page's token belongs to.
    await renewToken();
    response = await send(method, path, body, signal);
  }
  const text = await response.text();
  const answer = parse(response, text);
  if (response.ok) {
    return answer;
  }
  if (response.status === 401 && !quiet) {
    onSignedOut();
  }
  throw errorOf(response, answer, text);
}

async function send(method, path, body, signal) {
  const headers = { Accept: "application/json" };
  if (method !== "GET") {
    headers["X-CSRF-TOKEN"] = meta().content;
  }
  if (body !== undefined) {
    headers["Content-Type"] = "application/json";
  }
  try {
    return await fetch(BASE + path, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: "same-origin",
      cache: "no-store",
      signal,
    });
  } catch (error) {
    if (error.name === "AbortError") {
      throw error;
    }
    throw new ApiError(0, "The server cannot be reached. Nothing was lost; please try again.");
  }
}

/** Only the check of the token answers in plain text. */
async function isTokenRefused(response) {
  const type = response.headers.get("Content-Type") ?? "";
  return response.status === 400 && type.startsWith("text/plain");
}

async function renewToken() {
  const response = await fetch("/login", { credentials: "same-origin", cache: "no-store" });
  const found = /name="csrf-token" content="([^"]*)"/.exec(await response.text());
  if (found) {
    meta().content = found[1];
  }
}

function parse(response, text) {
  const type = response.headers.get("Content-Type") ?? "";
  if (!type.startsWith("application/json") || !text) {
    return null;
  }
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function errorOf(response, answer, text) {
  const fields = {};
  for (const { field, detail } of answer?.validations ?? []) {
    fields[field] = fields[field] ? `${fields[field]} ${detail}` : detail;
  }
  const message = answer?.message || text.slice(0, 200) || "The server could not do that.";
  return new ApiError(response.status, hint(response) ?? message, answer?.detail, fields);
}

function hint(response) {
  const seconds = Number(response.headers.get("Retry-After"));
  const when = seconds > 0 ? `in ${seconds} seconds` : "in a moment";
  switch (response.status) {
    case 429:
      return `That was too often. Please try again ${when}.`;
    case 503:
      return `The server is busy or its database is away. Please try again ${when}.`;
    default:
      return undefined;
  }
}
