// Applies the theme before the first paint, so that dark pages do not flash white. The server
// stores the preference; local storage has a copy for this moment.
(() => {
  let theme;
  try {
    theme = localStorage.getItem("usher-theme");
  } catch {
    // Without storage, the system's preference applies.
  }
  if (theme === "light" || theme === "dark") {
    document.documentElement.dataset.theme = theme;
  }
})();
