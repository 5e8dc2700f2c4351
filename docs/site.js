// Commands are copied without the prompt before each, by hand and by the button beside a block.
document.addEventListener("copy", (event) => {
  const text = event.target.value ?? String(document.getSelection());
  if (/^\$ /m.test(text)) {
    event.clipboardData.setData("text/plain", text.replace(/^\$ /gm, ""));
    event.preventDefault();
  }
});
