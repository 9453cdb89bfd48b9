"""Plain English that no model has read: written by hand for measuring perplexity, in several everyday registers."""

TEXT = """\
The bakery on the corner opens at six. By the time the first bus comes down the hill, the windows are already white with \
steam, and the smell of warm bread has reached the school gate. Mrs. Hale, who has run the place for twenty-two years, says \
that people do not really come for the bread. They come because someone behind the counter knows their name and asks how \
the knee is doing, or whether the exam went well. On Saturdays the queue goes around the building, and nobody seems to mind.

To change a tyre, park the car on firm, level ground and pull the handbrake. Loosen the nuts a little while the wheel is \
still on the ground, because they are hard to turn once it hangs in the air. Then put the jack under the frame, lift the \
car until the wheel is free, and take the nuts off. Hang the spare wheel, put the nuts back by hand, lower the car and \
tighten them crosswise. Drive slowly for the first few miles and check the nuts again.

When the council announced that the old swimming pool would close, there was an outcry. More than four thousand people \
signed a petition within a week, and two retired engineers offered to repair the heating at their own expense. The mayor, \
who had called the closure final, agreed to meet them. It now looks as if the pool will stay open at least until next \
spring, although the price of a ticket is expected to rise.

A river does not simply carry water to the sea. It carries soil from the mountains, seeds from the forests, and warmth from \
the plains. Where it slows down, it drops what it can no longer hold, and over thousands of years the valley floor rises. \
Farmers have always known this. They built their houses on the edges of the valley and their fields in the middle, and when \
the floods came, they waited. Engineers who straightened the rivers in the last century learnt the same lesson at a much \
higher price.

Dear Martin, thank you for your letter, which arrived on the very day I had decided to write to you. We are all well here. \
Your brother has finally sold the boat, so the garden looks twice as big as before, and I have planted beans along the \
fence. The children are learning to ride bicycles, which means that someone is always crying, but never for long. Come and \
see us before the summer is over. There is a bed for you in the room above the kitchen, and you know how early the sun \
gets in.

The software was written in a hurry and had to last for a long time, which is how most software is written. Nobody could \
say why a certain number had been chosen, only that the reports came out wrong when it was changed. So the first thing the \
new team did was to write tests. For every report they kept a copy of the input and of the output, and whenever the two no \
longer matched, the build stopped. It took them three months before they dared to remove a single line, and another three \
before they enjoyed it.

She had not meant to stay. The train to the coast was to leave in an hour, and she only wanted to look at the house once, \
from the other side of the street. But the door stood open, and a man in paint-stained trousers was carrying out the very \
chair in which her grandmother used to read. "Are you from the agency?" he asked. She said that she was not, and then, \
without knowing why, that she would like to buy the chair. He looked at her for a while, put it down on the pavement, and \
told her to sit.

Sleep is not a pause. While we lie still, the brain goes through the events of the day, keeps some and lets others go. \
People who sleep badly before a test remember less of what they have learnt, even if they studied for longer. Doctors \
therefore advise going to bed at the same hour every night, keeping the room dark and cool, and leaving the telephone in \
another room. None of this is new, and hardly anyone does it.

For the soup you need two onions, four carrots, a small piece of celery, a handful of red lentils and a litre of water. Cut \
the onions finely and let them soften in a little oil. Add the carrots in thin slices, then the lentils, and stir until \
everything is coated. Pour in the water, bring it to the boil and let it simmer for half an hour. Season with salt, pepper \
and the juice of half a lemon. It tastes better on the second day.

The committee met on Tuesday to discuss the budget for the coming year. The treasurer reported that income had grown by \
three per cent, mostly because of new members, while costs had risen by five. She proposed to raise the yearly fee by two \
pounds and to print the newsletter only four times a year. After a short debate, in which several members praised the \
newsletter, the first proposal was accepted and the second was put off until the meeting in June.
"""
