/** Calls to `/api/v2`, authenticated by the session cookie. */

const BASE = "/api/v2";

/** A failed call, with messages to show to the user. */
export class ApiError extends Error {
  /**
   * @param {number} status 0 if there was no response
   * @param {string} message
   * @param {string} detail
   * @param {Record<string, string>} fields messages by field name
   */
  constructor(status, message, detail = "", fields = {}) {
    super(message);
    this.status = status;
    this.detail = detail;
    this.fields = fields;
  }
}

const csrfToken = () => document.querySelector('meta[name="csrf-token"]');

let sessionExpired = () => {};

/** Sets the function to call when a call finds that the session has expired. */
export function onSessionExpired(listener) {
  sessionExpired = listener;
}

export const get = (path, options) => call("GET", path, undefined, options);
export const post = (path, body, options) => call("POST", path, body, options);
export const put = (path, body, options) => call("PUT", path, body, options);
export const patch = (path, body, options) => call("PATCH", path, body, options);
export const del = (path, options) => call("DELETE", path, undefined, options);

/** Encodes a path segment. */
export const segment = encodeURIComponent;

/**
 * Calls the API and returns the body of the response, or `null` if it has none.
 *
 * @param {{ quiet?: boolean, signal?: AbortSignal }} options `quiet` if a 401 does not mean
 *     that the session has expired
 * @throws {ApiError}
 */
async function call(method, path, body, { quiet = false, signal } = {}) {
  let response = await send(method, path, body, signal);
  if (isCsrfFailure(response)) {
    // The CSRF cookie of this page is gone: it expired or was deleted.
    await renewCsrfToken();
    response = await send(method, path, body, signal);
  }
  const text = await response.text();
  const result = parse(response, text);
  if (response.ok) {
    return result;
  }
  if (response.status === 401 && !quiet) {
    sessionExpired();
  }
  throw errorOf(response, result, text);
}

async function send(method, path, body, signal) {
  const headers = { Accept: "application/json" };
  if (method !== "GET") {
    headers["X-CSRF-TOKEN"] = csrfToken().content;
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
    throw new ApiError(0, "The server cannot be reached. Try again.");
  }
}

/** Only the CSRF check responds with plain text. */
function isCsrfFailure(response) {
  const type = response.headers.get("Content-Type") ?? "";
  return response.status === 400 && type.startsWith("text/plain");
}

async function renewCsrfToken() {
  const response = await fetch("/login", { credentials: "same-origin", cache: "no-store" });
  const found = /name="csrf-token" content="([^"]*)"/.exec(await response.text());
  if (found) {
    csrfToken().content = found[1];
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

function errorOf(response, result, text) {
  const fields = {};
  for (const { field, detail } of result?.validations ?? []) {
    fields[field] = fields[field] ? `${fields[field]} ${detail}` : detail;
  }
  const message = result?.message || text.slice(0, 200) || "The server could not complete the request.";
  return new ApiError(response.status, hint(response) ?? message, result?.detail, fields);
}

function hint(response) {
  const seconds = Number(response.headers.get("Retry-After"));
  const when = seconds > 0 ? `in ${seconds} ${seconds === 1 ? "second" : "seconds"}` : "in a moment";
  switch (response.status) {
    case 429:
      return `Too many attempts. Try again ${when}.`;
    case 503:
      return `The server is busy or its database is unavailable. Try again ${when}.`;
    default:
      return undefined;
  }
}
