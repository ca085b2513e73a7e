// Puts text on the clipboard; true if it is there.

// navigator.clipboard is for https and localhost only.
function copyBySelection(text) {
  const area = document.createElement("textarea");
  area.className = "unseen";
  area.value = text;
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  return copied;
}

export async function copyText(text) {
  const focused = document.activeElement;
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const copied = copyBySelection(text);
    focused?.focus();
    return copied;
  }
}
