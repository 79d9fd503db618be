/** The signed-in user and what they may do. */
import { ApiError, get, post } from "./api.js";
import { createContext, useContext } from "./preact.js";

const CHECKS = {
  auditRead: { object: { resource_type: "audit_log", any_org: true }, action: "read" },
  organizationCreate: { object: { resource_type: "organization" }, action: "create" },
  roleAssign: { object: { resource_type: "assign_role" }, action: "assign" },
  templateCreate: { object: { resource_type: "template", any_org: true }, action: "create" },
  userCreate: { object: { resource_type: "user" }, action: "create" },
  userDelete: { object: { resource_type: "user" }, action: "delete" },
  userRead: { object: { resource_type: "user" }, action: "read" },
  userUpdate: { object: { resource_type: "user" }, action: "update" },
};

/** @typedef {{ me: object, may: Record<string, boolean>, reload: () => Promise<void> }} Session */
export const SessionContext = createContext(null);

/** @returns {Session} */
export const useSession = () => useContext(SessionContext);

/** Loads the session of this browser, or returns `null` without one. */
export async function loadSession() {
  let me;
  try {
    me = await get("/users/me", { quiet: true });
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) {
      return null;
    }
    throw error;
  }
  const [may, appearance] = await Promise.all([
    post("/authcheck", { checks: CHECKS }),
    get("/users/me/appearance").catch(() => null),
  ]);
  if (appearance) {
    applyTheme(appearance.theme_preference);
  }
  return { me, may };
}

/** Runs authorization checks and returns the results by the names of the checks. */
export const check = (checks) => post("/authcheck", { checks });

/** Whether the first user exists. */
export async function hasUsers() {
  try {
    await get("/users/first");
    return true;
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) {
      return false;
    }
    throw error;
  }
}

/** Applies a theme; any value other than `light` and `dark` follows the system. */
export function applyTheme(theme) {
  const root = document.documentElement;
  const isFixed = theme === "light" || theme === "dark";
  if (isFixed) {
    root.dataset.theme = theme;
  } else {
    delete root.dataset.theme;
  }
  try {
    if (isFixed) {
      localStorage.setItem("usher-theme", theme);
    } else {
      localStorage.removeItem("usher-theme");
    }
  } catch {
    // Without storage, the theme is applied once the session is loaded.
  }
}

/** The user's display name. */
export const nameOf = (user) => user.name || user.username;
