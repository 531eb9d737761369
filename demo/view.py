"""How the demo looks: a live table on a terminal, plain lines anywhere else."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from rich import box
from rich.console import Console, Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from demo.board import CHANNEL_WORDS, OWN_TOUCHES, Board, Line, Watched

COLOURS = {"active": "green", "resting": "yellow", "paused": "yellow", "finished": "dim", "starting": "cyan"}
WIDE = 140  # characters from which the table has all its columns and still room for the reasons
_BAD = {"failed", "unknown", "undelivered", "missed"}


@dataclass(frozen=True, slots=True)
class Screen:
    """`began` is the product time of the start, `lasts` how much of it is shown."""

    console: Console
    zone: ZoneInfo
    place: str
    began: datetime
    lasts: timedelta

    def time(self, at: datetime) -> str:
        return at.astimezone(self.zone).strftime("%a %H:%M:%S")

    def line(self, line: Line) -> Text:
        text = Text(f"{self.time(line.at)}  ", style="dim", no_wrap=True, overflow="ellipsis")
        text.append(f"{line.who:<5} ", style="bold not dim")
        text.append(f"{line.step:<12} ", style="cyan not dim")
        text.append(line.what, style="not dim")
        if line.why:
            text.append(f"  ({short(line.why)})", style="italic")
        return text

    def page(self, board: Board, now: datetime) -> RenderableType:
        room = max(3, min(16, self.console.size.height - len(board.leads) - 8))
        return Group(self._head(board, now), self._leads(board), *map(self.line, board.feed[-room:]))

    def _head(self, board: Board, now: datetime) -> RenderableType:
        passed = max(timedelta(0), now - self.began)
        done = sum(lead.finished for lead in board.leads)
        when = f"{now.astimezone(self.zone):%a %d %b %H:%M}"
        where = f" in {self.place}" if self.console.width >= WIDE else ""
        grid = Table.grid(padding=(0, 2))
        for _ in range(4):
            grid.add_column(no_wrap=True)
        grid.add_row(
            Text("Tend", style="bold"),
            f"{when}{where}, day {passed.days + 1}",
            ProgressBar(total=self.lasts.total_seconds(), completed=passed.total_seconds(), width=16),
            f"{done} of {len(board.leads)} finished",
        )
        return grid

    def _leads(self, board: Board) -> Table:
        wide = self.console.width >= WIDE
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1 if wide else 0, 0, 0), expand=True)
        table.add_column("lead", no_wrap=True)
        if wide:
            table.add_column("who", no_wrap=True)
        table.add_column("state", no_wrap=True, min_width=8)
        if wide:
            table.add_column("sequence", no_wrap=True, min_width=12)
        table.add_column("last touch", no_wrap=True, min_width=16 if not wide else 23)
        table.add_column("next", no_wrap=True, min_width=17)
        table.add_column("why", no_wrap=True, overflow="ellipsis", ratio=1)
        for lead in board.leads:
            state = str(lead.summary.get("state", ""))
            sequence = str((lead.summary.get("sequence") or {}).get("key", ""))
            shown = Text(state, style=COLOURS.get(state, ""))
            row = (lead.guest.first_name, lead.guest.acts, shown, sequence) if wide else (lead.guest.first_name, shown)
            table.add_row(*row, _last(lead), *self._next(lead))
        return table

    def _next(self, lead: Watched) -> tuple[Text, Text]:
        """The next step with its time, and why it comes then; how the lead ended if it has."""
        if lead.finished:
            return Text("-", style="dim"), Text(str(lead.summary.get("exit_reason") or "").replace("_", " "))
        step = lead.summary.get("next_step")
        if not step:
            return Text(""), Text("")
        text = Text(step["step"] or step["kind"] or "")
        if step["at"]:
            text.append(f" {datetime.fromisoformat(step['at']).astimezone(self.zone):%a %H:%M}", style="bold")
        return text, Text(short(step["reason"] or ""))


def _last(lead: Watched) -> Text:
    touch = lead.last_touch()
    if touch is None:
        return Text("")
    status, channel = touch["status"], touch.get("channel")
    style = "red" if status in _BAD else "yellow" if status in {"delayed", "skipped"} else ""
    ended = lead.call_ended(touch["id"]) if channel == "voice" else ""
    name = OWN_TOUCHES.get(str(touch["step"]), str(touch["step"]))
    said = status if channel == "voice" else f"{CHANNEL_WORDS.get(channel or '', '')} {status}"
    return Text(f"{name}: {ended or said}", style=style)


def short(reason: str) -> str:
    words = {
        " of the sequence": "",
        " in every zone the lead can be in": " at the lead's place",
        "; waits for the contact window, 8:00 to 21:00 at the lead's place": "; waits for 8:00",
    }
    for long, brief in words.items():
        reason = reason.replace(long, brief)
    return reason
