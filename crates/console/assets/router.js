/** The route table. Each page is a module that is loaded when it is first shown. */

const PUBLIC = { isPublic: true, isBare: true };

// Public pages do not need a session; bare ones have no navigation.
const ROUTES = [
  ["/", () => import("./pages/home.js")],
  ["/audit", () => import("./pages/audit.js")],
  ["/cli-auth", () => import("./pages/cli-auth.js"), { isBare: true }],
  ["/deployment/users", () => import("./pages/users.js")],
  ["/login", () => import("./pages/login.js"), PUBLIC],
  ["/login/device", () => import("./pages/device.js"), PUBLIC],
  ["/organizations", () => import("./pages/organizations.js")],
  ["/organizations/:name", () => import("./pages/organization.js")],
  ["/reset-password", () => import("./pages/reset-password.js"), PUBLIC],
  ["/reset-password/change", () => import("./pages/change-password.js"), PUBLIC],
  ["/settings", () => import("./pages/account.js")],
  ["/settings/account", () => import("./pages/account.js")],
  ["/settings/appearance", () => import("./pages/appearance.js")],
  ["/settings/notifications", () => import("./pages/notifications.js")],
  ["/settings/security", () => import("./pages/security.js")],
  ["/settings/ssh-keys", () => import("./pages/ssh-key.js")],
  ["/settings/tokens", () => import("./pages/tokens.js")],
  ["/setup", () => import("./pages/setup.js"), PUBLIC],
  ["/tasks", () => import("./pages/tasks.js")],
  ["/users", () => import("./pages/users.js")],
  ["/users/create", () => import("./pages/user-create.js")],
  ["/users/:id", () => import("./pages/user.js")],
];

const NOT_FOUND = { load: () => import("./pages/not-found.js"), params: {}, isPublic: true };

/** Returns the route of a path, with the parameters from the path. */
export function findRoute(path) {
  const segments = path.split("/").filter(Boolean);
  for (const [pattern, load, { isPublic = false, isBare = false } = {}] of ROUTES) {
    const params = match(pattern.split("/").filter(Boolean), segments);
    if (params) {
      return { pattern, load, params, isPublic, isBare };
    }
  }
  return NOT_FOUND;
}

function match(pattern, segments) {
  if (pattern.length !== segments.length) {
    return null;
  }
  const params = {};
  for (const [index, part] of pattern.entries()) {
    if (part.startsWith(":")) {
      try {
        params[part.slice(1)] = decodeURIComponent(segments[index]);
      } catch {
        return null;
      }
    } else if (part !== segments[index]) {
      return null;
    }
  }
  return params;
}
