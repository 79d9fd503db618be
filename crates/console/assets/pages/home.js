/** `/`: redirects administrators to the users, and everyone else to their tasks. */
import { navigate } from "../navigation.js";
import { useEffect } from "../preact.js";
import { useSession } from "../session.js";

export default function Home() {
  const { may } = useSession();
  useEffect(() => navigate(may.userCreate ? "/users" : "/tasks", { replace: true }), []);
  return null;
}
