// A small client of CDS Hooks in a browser: what it tells is what any page of another origin can read.
"use strict";

// Like the public sandbox, every call carries a token, so that the browser asks with a preflight first.
const TOKEN = "Bearer a-token-that-nobody-checks";

async function exchange(url, { method = "GET", body, type = "application/json", credentials = "omit" } = {}) {
  const headers = { Accept: "application/json", Authorization: TOKEN };
  if (body !== undefined) headers["Content-Type"] = type;
  let response;
  try {
    response = await fetch(url, { method, headers, body, credentials });
  } catch (error) {
    return { refused: error.name };
  }
  const text = await response.text();
  return {
    status: response.status,
    isRedirected: response.redirected,
    headers: Object.fromEntries(response.headers),
    body: text === "" ? null : JSON.parse(text),
  };
}

const post = (url, value, options = {}) =>
  exchange(url, { method: "POST", body: JSON.stringify(value), ...options });

// A read as it is; a search with its parameters in a form, which needs no preflight.
async function prefetched(fhir, template, patient) {
  const [path, query] = template.replaceAll("{{context.patientId}}", patient).split("?");
  const form = query && new URLSearchParams(query.split("&").map((pair) => pair.split(/=(.*)/s).slice(0, 2)));
  const asked = query
    ? fetch(`${fhir}/${path}/_search`, { method: "POST", body: form })
    : fetch(`${fhir}/${path}`);
  const response = await asked;
  return response.ok ? response.json() : undefined;
}

// What an EHR does when a chart is opened: discovery, prefetch, call, cards on the screen.
async function openChart({ discovery, fhir, patient, hasPrefetch = true }) {
  const offered = await exchange(discovery);
  const service = offered.body.services.find((one) => one.hook === "patient-view");
  const prefetch = {};
  for (const [key, template] of Object.entries(hasPrefetch ? service.prefetch : {})) {
    const found = await prefetched(fhir, template, patient);
    if (found !== undefined) prefetch[key] = found;
  }
  const request = {
    hook: "patient-view",
    hookInstance: crypto.randomUUID(),
    fhirServer: fhir,
    context: { patientId: patient, userId: "Practitioner/nobody-knows-this-one" },
    ...(hasPrefetch && { prefetch }),
  };
  const called = `${discovery}/${service.id}`;
  const answer = await post(called, request);
  const cards = (answer.body && answer.body.cards) || [];
  document.querySelector("#cards").replaceChildren(
    ...cards.map((card) => {
      const item = document.createElement("li");
      item.textContent = `${card.indicator}: ${card.summary}`;
      return item;
    }),
  );
  document.querySelector("#status").textContent = `${answer.status}, ${cards.length} cards`;
  return { called, prefetched: Object.keys(prefetch).sort(), answer };
}
