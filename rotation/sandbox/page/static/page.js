// Keeps the page as new as the sandbox. A part is replaced only when it has changed, and then the
// keyboard's focus, the scrolling and what is marked with the mouse stay.
"use strict";

const EVERY = 2000; // milliseconds
const shown = new Map();

for (const part of document.querySelectorAll("[data-live]")) {
  shown.set(part.id, part.outerHTML);
}

function say(text) {
  document.getElementById("notice").textContent = text;
  shown.delete("notice");
}

function isMarked(part) {
  const selection = document.getSelection();
  return !selection.isCollapsed && part.contains(selection.anchorNode);
}

function show(html) {
  const page = new DOMParser().parseFromString(html, "text/html");
  for (const fresh of page.querySelectorAll("[data-live]")) {
    const part = document.getElementById(fresh.id);
    if (shown.get(fresh.id) === fresh.outerHTML || isMarked(part)) {
      continue;
    }
    shown.set(fresh.id, fresh.outerHTML);
    const focused = part.contains(document.activeElement) ? document.activeElement.id : null;
    const scrolled = scrolledBack(part);
    part.replaceWith(fresh);
    showNewest(fresh, scrolled);
    if (focused !== null) {
      const again = document.getElementById(focused) || fresh.querySelector("h2");
      again.focus({ preventScroll: true });
    }
  }
}

// How far a wide table is from its right end, where the newest is.
function scrolledBack(part) {
  const scroll = part.querySelector(".scroll");
  return scroll ? scroll.scrollWidth - scroll.clientWidth - scroll.scrollLeft : 0;
}

function showNewest(part, except = 0) {
  const scroll = part.querySelector(".scroll");
  if (scroll) {
    scroll.scrollLeft = scroll.scrollWidth - scroll.clientWidth - except;
  }
}

async function load(request) {
  try {
    const answer = await request;
    if (answer.ok) {
      show(await answer.text());
    } else {
      say("The sandbox refused. Load the page again.");
    }
  } catch {
    say("The sandbox does not answer. Has it ended?");
  }
}

document.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = event.submitter;
  if (button.ariaBusy === "true") {
    return;
  }
  button.ariaBusy = "true";
  const body = new URLSearchParams(new FormData(event.target));
  await load(fetch(event.target.action, { method: "POST", body }));
  button.ariaBusy = null;
});

async function keepNew() {
  if (!document.hidden) {
    await load(fetch("/"));
  }
  setTimeout(keepNew, EVERY);
}

showNewest(document);
setTimeout(keepNew, EVERY);
