// The token of a mailed link stays in its form, and neither in the history nor in the address bar.
if (location.search.includes("token=")) history.replaceState(null, "", location.pathname);
for (const field of document.querySelectorAll("input[type=password]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "quiet";
  const { show, hide } = document.querySelector("[data-show]")?.dataset ?? {};
  if (!show) break;
  const tell = () => {
    const hidden = field.type === "password";
    button.textContent = hidden ? show : hide;
    button.setAttribute("aria-label", `${button.textContent}: ${field.labels[0].textContent}`);
  };
  button.addEventListener("click", () => {
    field.type = field.type === "password" ? "text" : "password";
    tell();
  });
  tell();
  const row = document.createElement("div");
  row.className = "shown";
  field.replaceWith(row);
  row.append(field, button);
  field.form.addEventListener("submit", () => { field.type = "password"; });
}
document.querySelector("[data-focus]")?.focus();
