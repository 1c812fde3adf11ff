// Renews the live part of a page, and shows an as-of slider's event while it is moved. Everything
// works without it.
(() => {
  'use strict';

  const live = document.querySelector('[data-live]');
  if (live && window.EventSource) {
    const status = document.getElementById('live-status');
    const button = document.createElement('button');
    button.type = 'button';
    button.className = 'button button-quiet';
    let stream = null;
    let pending = null;
    const say = (text) => { status.textContent = text; };
    // Whoever is on a link or a button is on it again; who is typing is waited for.
    const place = (e) => {
      const around = e.closest('[id]');
      return [around.id, [...around.querySelectorAll('a, button, summary')].indexOf(e)];
    };
    const put = (html) => {
      const active = live.contains(document.activeElement) ? document.activeElement : null;
      if (active && active.matches('input, textarea, select')) { pending = html; return; }
      pending = null;
      const focus = active && place(active);
      const open = new Set([...live.querySelectorAll('details[open][id]')].map((d) => d.id));
      live.innerHTML = html;
      live.querySelectorAll('details[id]').forEach((d) => { d.open = open.has(d.id); });
      if (focus) {
        const around = document.getElementById(focus[0]);
        const again = around && around.querySelectorAll('a, button, summary')[focus[1]];
        (again || live).focus({ preventScroll: true });
      }
      say('Updated at ' + new Date().toLocaleTimeString('en-GB') + '.');
    };
    live.addEventListener('focusout', () => setTimeout(() => { if (pending !== null) put(pending); }, 0));
    const start = () => {
      stream = new EventSource(location.href);
      stream.onopen = () => { live.dataset.live = 'on'; say('This page updates by itself.'); };
      stream.onmessage = (e) => put(e.data);
      stream.onerror = () => say('The connection is lost. It is tried again.');
      button.textContent = 'Stop updating';
    };
    button.addEventListener('click', () => {
      if (stream) {
        stream.close();
        stream = null;
        button.textContent = 'Go on updating';
        say('This page does not update.');
      } else {
        start();
      }
    });
    status.after(button);
    start();
  }

  const slider = document.querySelector('input[type=range][data-times]');
  if (slider) {
    const times = JSON.parse(slider.dataset.times);
    const shown = document.getElementById(slider.getAttribute('aria-describedby'));
    const tell = () => {
      shown.textContent = times[slider.value];
      slider.setAttribute('aria-valuetext', times[slider.value]);
    };
    slider.addEventListener('input', tell);
    slider.addEventListener('change', () => slider.form.requestSubmit());
    tell();
  }
})();
