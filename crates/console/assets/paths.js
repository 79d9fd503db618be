/** Paths and redirect targets. Redirects stay on this origin. */

/** How many levels of percent-encoding are decoded; deeper nesting is rejected. */
const MAX_DECODINGS = 4;

/** `//` and `/\` start a host name, and browsers drop control characters. */
const LEAVES_ORIGIN = /^\/[/\\]|[\\\u0000-\u001f\u007f]/;

/**
 * Returns the path if it is on this origin, or else `fallback`.
 *
 * @param {string | null | undefined} text untrusted input
 * @param {string} fallback
 */
export function ownPath(text, fallback = "/") {
  if (typeof text !== "string" || !text.startsWith("/") || !staysOnOrigin(text)) {
    return fallback;
  }
  const url = new URL(text, location.origin);
  const isOwn = url.origin === location.origin && !url.pathname.startsWith("//");
  return isOwn ? url.pathname + url.search + url.hash : fallback;
}

function staysOnOrigin(text) {
  for (let decodings = 0; decodings <= MAX_DECODINGS; decodings += 1) {
    if (LEAVES_ORIGIN.test(text)) {
      return false;
    }
    let decoded;
    try {
      decoded = decodeURIComponent(text);
    } catch {
      return false;
    }
    if (decoded === text) {
      return true;
    }
    text = decoded;
  }
  return false;
}

/** The sign-in page, with a redirect back to the current page. */
export function signInPath() {
  const here = location.pathname + location.search;
  return here === "/" ? "/login" : `/login?redirect=${encodeURIComponent(here)}`;
}

/** Adds query parameters to a path, except empty ones. */
export function withQuery(path, parameters) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined && value !== null && value !== "") {
      query.set(name, value);
    }
  }
  const text = query.toString();
  return text ? `${path}?${text}` : path;
}
