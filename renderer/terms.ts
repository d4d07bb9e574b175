/** What a term of the field means, in a sentence: shown where it is first met. */
export const TERMS = {
  step: 'In a step the network sees one batch of images and its weights change once.',
  epoch: 'After an epoch every image was seen once.',
  patch: 'The network cuts an image into square patches and reads each as one token; K is how many there are.',
  masked: 'Hidden from the network in training: it has to say what is there.',
  parameters: 'The numbers that training changes; more of them take more time, memory and images.',
  checkpoint: 'All that training needs to go on, saved now and then: what a run is looked at, exported and resumed by.',
  preset: 'Settings that belong together, with where they come from and what they are for.',
  method: 'What the network is asked to do with unlabelled images, so that it has to learn what they show.',
  features: 'The numbers by which a network describes an image or a patch: what is alike has numbers that are alike.',
  network:
    'The student learns; the teacher follows it slowly and is steadier; untrained is as it was before the first step.',
  knn: 'An image is given the class that most of its nearest neighbours have; nothing is trained for it.',
  fewshot: 'The same with a few known images of each class, as if you had labelled only these.',
  linear: 'A straight line is drawn between the classes, in features that stay as they are.',
  labelfree: 'How many directions the features use, and how alike two views of an image are: no classes are needed.',
  finetune: 'The whole network goes on learning, with classes: what it is worth as a start.',
  lookup: 'How often a hidden patch is found among all patches of its image, and how often by its place alone.',
  timm: 'timm is a library of networks for PyTorch: its `create_model` reads the file.',
  onnx: 'A file that many programs run, without Python too.',
  safetensors: 'A file of named arrays, and nothing that could be run.',
} as const;
export type Term = keyof typeof TERMS;
