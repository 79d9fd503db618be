/** The library that pages are written with, under one roof: `html` makes elements. */
import { h } from "./vendor/preact.js";
import htm from "./vendor/htm.js";

export const html = htm.bind(h);
export { Component, createContext, render } from "./vendor/preact.js";
export { useContext, useEffect, useId, useLayoutEffect, useRef, useState } from "./vendor/hooks.js";
