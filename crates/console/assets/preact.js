/** Preact and htm: `html` creates elements, the rest is Preact's API. */
import { h } from "./vendor/preact.js";
import htm from "./vendor/htm.js";

export const html = htm.bind(h);
export { Component, createContext, render } from "./vendor/preact.js";
export { useContext, useEffect, useId, useLayoutEffect, useRef, useState } from "./vendor/hooks.js";
