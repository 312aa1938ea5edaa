// Light or dark: as the system says, until somebody chooses. Runs before anything is drawn, so that
// the page does not flash in the wrong colours.
(() => {
  const KEY = "raftmq.theme";
  const NEXT = { system: "light", light: "dark", dark: "system" };
  const root = document.documentElement;

  // Storage may be forbidden; then the choice lasts as long as the page.
  const read = () => {
    try { return localStorage.getItem(KEY); } catch { return null; }
  };
  const keep = (theme) => {
    try { localStorage.setItem(KEY, theme); } catch { /* it lasts as long as the page */ }
  };

  const show = (theme) => {
    root.dataset.theme = theme in NEXT ? theme : "system";
    const button = document.getElementById("theme");
    if (button) button.textContent = `Theme: ${root.dataset.theme}`;
  };

  show(read());
  document.addEventListener("DOMContentLoaded", () => {
    show(root.dataset.theme);
    document.getElementById("theme").addEventListener("click", () => {
      const theme = NEXT[root.dataset.theme];
      keep(theme);
      show(theme);
    });
  });
})();
