// Runs before the first paint, so that nobody who chose the dark sees a flash of white.
// The choice itself is kept by the server; what is here is a copy for this moment.
(() => {
  let theme;
  try {
    theme = localStorage.getItem("usher-theme");
  } catch {
    // A browser that keeps nothing shows what the system wants.
  }
  if (theme === "light" || theme === "dark") {
    document.documentElement.dataset.theme = theme;
  }
})();
