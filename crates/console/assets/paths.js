/** Where a page may send people: to paths of this origin only. */

/** A path may be written with escapes of escapes; who nests them deeper is up to no good. */
const MAX_ESCAPES = 4;

/** Two slashes, or a slash and a backslash, begin a host; browsers drop control letters. */
const LEAVES = /^\/[/\\]|[\\\u0000-\u001f\u007f]/;

/**
 * The path if it stays here, or else `otherwise`.
 *
 * @param {string | null | undefined} text as it came from outside
 * @param {string} otherwise
 */
export function ownPath(text, otherwise = "/") {
  if (typeof text !== "string" || !text.startsWith("/") || !staysHere(text)) {
    return otherwise;
  }
  const url = new URL(text, location.origin);
  const isOwn = url.origin === location.origin && !url.pathname.startsWith("//");
  return isOwn ? url.pathname + url.search + url.hash : otherwise;
}

function staysHere(text) {
  for (let escapes = 0; escapes <= MAX_ESCAPES; escapes += 1) {
    if (LEAVES.test(text)) {
      return false;
    }
    let plain;
    try {
      plain = decodeURIComponent(text);
    } catch {
      return false;
    }
    if (plain === text) {
      return true;
    }
    text = plain;
  }
  return false;
}

/** `/login`, which leads back to where we are. */
export function signInPath() {
  const here = location.pathname + location.search;
  return here === "/" ? "/login" : `/login?redirect=${encodeURIComponent(here)}`;
}

/** A path with a query, in which what is empty is left out. */
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
