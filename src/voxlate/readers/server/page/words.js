// All texts of the page, by language. A question in the study file replaces the question of its kind here.
const CATALOGUE = {
  en: {
    skip: "Skip to the answer", keys: "Keys", leave: "Sign out", comment: "Comment (optional)", next: "Save, next case",
    back: "Change the last answer", close: "Close", monitor: "Monitor check", left: "Left", right: "Right", image: "Image", source: "Source scan",
    monitorText: "All twelve steps from black to white must be distinguishable. Dim the room, and do not change the brightness during the study.",
    saving: "Saving …", saved: "Saved", offline: "Not saved yet: kept in this browser and sent again automatically",
    loading: "Loading the case …", takeOver: "Take over here", reload: "Load again", otherWindow: "This study is open in another window. Your answer is kept here.",
    done: "All cases are answered", doneText: "Thank you. Everything is saved; you can close this window.",
    waiting: "The second session is not open yet", waitingText: "It opens at", signIn: "You are not signed in",
    signInText: "Open your personal link, or ask for a new one. An answer that is not saved yet is kept in this browser.",
    left_: "You are signed out", noWebgl: "This browser has no WebGL 2, which the images need.",
    planes: "Planes", three: "Three", axial: "Axial", coronal: "Coronal", sagittal: "Sagittal", windowTitle: "Window", low: "Low", high: "High",
    invert: "Invert", reset: "Reset", zoomIn: "Zoom in", zoomOut: "Zoom out", fit: "Fit",
    real_or_synthetic: "Is this image real or synthetic?", forced_choice: "Which of the two is synthetic?",
    similarity: "How similar is each structure in both images?", quality: "How good is this image?", marks: "Mark every lesion you see",
    certainlyReal: "certainly real", probablyReal: "probably real", maybeReal: "rather real", undecided: "undecided",
    maybeSynthetic: "rather synthetic", probablySynthetic: "probably synthetic", certainlySynthetic: "certainly synthetic",
    leftSynthetic: "Left is synthetic", rightSynthetic: "Right is synthetic", notAssessable: "not assessable", unset: "not set",
    worst: "worst", best: "best", noLesion: "No lesion seen", addMark: "Mark at the crosshair", confidence: "Confidence", remove: "Remove", goTo: "Show",
    marksHint: "Move the crosshair onto a lesion, then press M.", needAnswer: "Choose an answer first.", needAll: "Not answered yet: ", needMarks: "Mark a lesion, or state that you see none.",
    tooEarly: "Look at the image a little longer.", practice: "Key",
    scroll: "next / previous slice", ends: "first / last slice", panels: "left / right panel", cycle: "plane: three, axial, coronal, sagittal",
    presets: "window presets (in the viewer)", toAnswer: "to the answer; there 1–9 choose", toViewer: "to the viewer", quick: "answer directly",
    submitKey: "save, next case", markKey: "mark a lesion", mouse: "Mouse: wheel scrolls, right drag changes the window, Shift drag or middle button pans.",
  },
  de: {
    skip: "Zur Antwort", keys: "Tasten", leave: "Abmelden", comment: "Bemerkung (freiwillig)", next: "Speichern, nächster Fall",
    back: "Letzte Antwort ändern", close: "Schließen", monitor: "Monitorprüfung", left: "Links", right: "Rechts", image: "Bild", source: "Ausgangsbild",
    monitorText: "Alle zwölf Stufen von Schwarz bis Weiß müssen unterscheidbar sein. Raum abdunkeln; Helligkeit während der Studie nicht ändern.",
    saving: "Wird gespeichert …", saved: "Gespeichert", offline: "Noch nicht gespeichert: in diesem Browser aufbewahrt, wird automatisch erneut gesendet",
    loading: "Der Fall wird geladen …", takeOver: "Hier weitermachen", reload: "Neu laden", otherWindow: "Die Studie ist in einem anderen Fenster offen. Ihre Antwort bleibt hier erhalten.",
    done: "Alle Fälle sind beantwortet", doneText: "Vielen Dank. Alles ist gespeichert; Sie können das Fenster schließen.",
    waiting: "Die zweite Sitzung ist noch nicht offen", waitingText: "Sie öffnet am", signIn: "Sie sind nicht angemeldet",
    signInText: "Öffnen Sie Ihren persönlichen Link, oder bitten Sie um einen neuen. Eine noch nicht gespeicherte Antwort bleibt in diesem Browser erhalten.",
    left_: "Sie sind abgemeldet", noWebgl: "Dieser Browser hat kein WebGL 2, das die Bilder brauchen.",
    planes: "Ebenen", three: "Drei", axial: "Axial", coronal: "Koronar", sagittal: "Sagittal", windowTitle: "Fenster", low: "Unten", high: "Oben",
    invert: "Umkehren", reset: "Zurücksetzen", zoomIn: "Größer", zoomOut: "Kleiner", fit: "Einpassen",
    real_or_synthetic: "Ist dieses Bild echt oder synthetisch?", forced_choice: "Welches der beiden ist synthetisch?",
    similarity: "Wie ähnlich ist jede Struktur in beiden Bildern?", quality: "Wie gut ist dieses Bild?", marks: "Markieren Sie jede Läsion",
    certainlyReal: "sicher echt", probablyReal: "wahrscheinlich echt", maybeReal: "eher echt", undecided: "unentschieden",
    maybeSynthetic: "eher synthetisch", probablySynthetic: "wahrscheinlich synthetisch", certainlySynthetic: "sicher synthetisch",
    leftSynthetic: "Links ist synthetisch", rightSynthetic: "Rechts ist synthetisch", notAssessable: "nicht beurteilbar", unset: "offen",
    worst: "schlechteste", best: "beste", noLesion: "Keine Läsion gesehen", addMark: "Am Fadenkreuz markieren", confidence: "Sicherheit", remove: "Entfernen", goTo: "Zeigen",
    marksHint: "Fadenkreuz auf eine Läsion setzen, dann M drücken.", needAnswer: "Bitte erst eine Antwort wählen.", needAll: "Noch offen: ", needMarks: "Markieren Sie eine Läsion, oder geben Sie an, dass Sie keine sehen.",
    tooEarly: "Bitte das Bild etwas länger betrachten.", practice: "Taste",
    scroll: "nächste / vorige Schicht", ends: "erste / letzte Schicht", panels: "linkes / rechtes Bild", cycle: "Ebene: drei, axial, koronar, sagittal",
    presets: "Fenster (im Bildbereich)", toAnswer: "zur Antwort; dort wählen 1–9", toViewer: "zum Bild", quick: "direkt antworten",
    submitKey: "speichern, nächster Fall", markKey: "Läsion markieren", mouse: "Maus: Rad blättert, Ziehen mit rechts ändert das Fenster, Ziehen mit Umschalt oder Mitteltaste verschiebt.",
  },
};

let words = CATALOGUE.en;

export const word = (name) => words[name] ?? CATALOGUE.en[name];

export function speak(language) {
  words = CATALOGUE[language] ?? CATALOGUE.en;
  document.documentElement.lang = language;
  for (const element of document.querySelectorAll("[data-word]")) element.textContent = word(element.dataset.word);
}
