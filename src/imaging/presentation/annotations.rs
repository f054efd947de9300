//! The layers of a presentation state (PS3.3 §C.10.7) with what is in them: overlays, graphic objects
//! and texts of the annotations that are about a frame (§C.10.5). Lower layers are painted first.

use super::read::{color, concerns};
use super::tags::{
    GRAPHIC_ANNOTATIONS, GRAPHICS, LAYER, LAYER_COLOR, LAYER_ORDER, LAYER_VALUE, LAYERS, OfState,
    TEXTS,
};
use super::{Subject, graphics::Graphic, text::Words};
use crate::imaging::marks::{Budget, Ink, Mask, Overlay, Placement};
use crate::imaging::metadata::{Bulk, Item};
use crate::imaging::{Error, Picture};

/// The most layers, and the most objects in all of them.
const LAYERS_MAX: usize = 64;
const OBJECTS_MAX: usize = 20_000;
/// The most points and letters in all of them.
const POINTS_MAX: usize = 200_000;
const TOO_MANY: Error = Error::Unsupported("so many annotations");

/// What is drawn over an image.
pub(super) struct Annotations {
    layers: Vec<Layer>,
    budget: Option<Budget>,
}

struct Layer {
    name: String,
    order: f64,
    ink: Ink,
    overlays: Vec<Overlay>,
    graphics: Vec<Graphic>,
    words: Vec<Words>,
}

impl Annotations {
    /// Reads what is about a frame.
    ///
    /// # Errors
    /// What cannot be drawn: a graphic that is left out would be missed.
    pub(super) fn new(
        state: &Item<OfState>,
        subject: &Subject<'_>,
        is_color: bool,
        bulk: Bulk<'_>,
    ) -> Result<Self, Error> {
        let mut annotations = Self {
            layers: Vec::new(),
            budget: None,
        };
        for item in state.items(LAYERS) {
            if annotations.layers.len() == LAYERS_MAX {
                return Err(TOO_MANY);
            }
            annotations.layers.push(Layer {
                order: item.number(LAYER_ORDER).unwrap_or(f64::MAX),
                ink: color(item, LAYER_VALUE, LAYER_COLOR, is_color)
                    .map_or(Ink::Outlined, Ink::Plain),
                ..Layer::named(item.text(LAYER).unwrap_or(""))
            });
        }
        let (mut objects, mut points) = (0, 0);
        let mut count = |new_points: usize| {
            objects += 1;
            points += new_points;
            if objects > OBJECTS_MAX || points > POINTS_MAX {
                Err(TOO_MANY)
            } else {
                Ok(())
            }
        };
        for item in state.items(GRAPHIC_ANNOTATIONS) {
            count(0)?;
            if !concerns(item, subject) {
                continue;
            }
            let layer = annotations.layer(item.text(LAYER).unwrap_or(""))?;
            for object in item.items(GRAPHICS) {
                let graphic = Graphic::read(object, POINTS_MAX, bulk)?;
                count(graphic.point_count())?;
                layer.graphics.push(graphic);
            }
            for object in item.items(TEXTS) {
                let words = Words::read(object)?;
                count(words.letter_count())?;
                layer.words.push(words);
            }
        }
        Ok(annotations)
    }

    /// The layer of a name, which comes after all others when the state does not describe it.
    fn layer(&mut self, name: &str) -> Result<&mut Layer, Error> {
        let place = match self.layers.iter().position(|layer| layer.name == name) {
            Some(place) => place,
            None if self.layers.len() == LAYERS_MAX => return Err(TOO_MANY),
            None => {
                self.layers.push(Layer::named(name));
                self.layers.len() - 1
            }
        };
        Ok(&mut self.layers[place])
    }

    pub(super) fn drop_words(&mut self) {
        for layer in &mut self.layers {
            layer.words.clear();
        }
    }

    pub(super) fn push_overlay(&mut self, layer: &str, overlay: Overlay) -> Result<(), Error> {
        self.layer(layer)?.overlays.push(overlay);
        Ok(())
    }

    /// What may be drawn on one picture, shutters and all.
    pub(super) fn budget(&mut self, placement: &Placement) -> &mut Budget {
        self.budget
            .get_or_insert_with(|| Budget::for_size(placement.size))
    }

    /// Paints everything.
    pub(super) fn draw(
        mut self,
        placement: &Placement,
        mask: &mut Mask,
        picture: &mut Picture,
    ) -> Result<(), Error> {
        let mut layers = std::mem::take(&mut self.layers);
        layers.retain(Layer::is_used);
        layers.sort_by(|one, other| one.order.total_cmp(&other.order));
        let budget = self.budget(placement);
        for layer in &layers {
            mask.clear();
            for overlay in &layer.overlays {
                overlay.mark(placement, mask);
            }
            for graphic in &layer.graphics {
                graphic.mark(placement, mask, budget)?;
            }
            for words in &layer.words {
                words.mark(placement, mask, budget)?;
            }
            mask.paint(picture, layer.ink);
        }
        Ok(())
    }
}

impl Layer {
    fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            order: f64::MAX,
            ink: Ink::Outlined,
            overlays: Vec::new(),
            graphics: Vec::new(),
            words: Vec::new(),
        }
    }

    fn is_used(&self) -> bool {
        !(self.overlays.is_empty() && self.graphics.is_empty() && self.words.is_empty())
    }
}
