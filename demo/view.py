"""How the demo looks: a live table on a terminal, plain lines anywhere else."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from rich.console import Console, Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from demo.board import CHANNEL_WORDS, Board, Line, Watched

COLOURS = {"active": "green", "resting": "yellow", "paused": "yellow", "finished": "dim", "starting": "cyan"}
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
        text.append(f"{line.who:<13} ", style="bold not dim")
        text.append(line.what, style="not dim")
        if line.why:
            text.append(f"  ({line.why})", style="italic")
        return text

    def page(self, board: Board, now: datetime) -> RenderableType:
        height = self.console.size.height
        room = max(3, min(14, height - len(board.leads) - 8))
        return Group(self._head(board, now), "", self._leads(board), "", *map(self.line, board.feed[-room:]))

    def _head(self, board: Board, now: datetime) -> RenderableType:
        passed = max(timedelta(0), now - self.began)
        done = sum(lead.finished for lead in board.leads)
        grid = Table.grid(padding=(0, 2))
        for _ in range(4):
            grid.add_column(no_wrap=True)
        grid.add_row(
            Text("Tend", style="bold"),
            f"{now.astimezone(self.zone):%a %d %b %H:%M} in {self.place}, day {passed.days + 1}",
            ProgressBar(total=self.lasts.total_seconds(), completed=passed.total_seconds(), width=16),
            f"{done} of {len(board.leads)} finished",
        )
        return grid

    def _leads(self, board: Board) -> Table:
        table = Table(box=None, pad_edge=False, expand=True, header_style="bold")
        table.add_column("lead", no_wrap=True)
        table.add_column("persona", no_wrap=True)
        table.add_column("state", no_wrap=True)
        table.add_column("stage", no_wrap=True)
        table.add_column("last touch", no_wrap=True, overflow="ellipsis", ratio=2)
        table.add_column("next step, due, why", no_wrap=True, overflow="ellipsis", ratio=4)
        for lead in board.leads:
            state = str(lead.summary.get("state", ""))
            table.add_row(
                lead.guest.name,
                lead.guest.persona,
                Text(state, style=COLOURS.get(state, "")),
                str(lead.summary.get("stage", "")),
                _last(lead),
                self._next(lead),
            )
        return table

    def _next(self, lead: Watched) -> Text:
        if lead.finished:
            return Text(str(lead.summary.get("exit_reason") or "").replace("_", " "), style="dim")
        step = lead.summary.get("next_step")
        if not step:
            return Text("")
        kind = {"sms": "text", "email": "e-mail"}.get(step["kind"] or "", step["kind"] or "")
        text = Text(" ".join(filter(None, (step["step"], kind if kind != step["step"] else None))))
        if step["at"]:
            text.append(f" {datetime.fromisoformat(step['at']).astimezone(self.zone):%a %H:%M}", style="bold")
        if step["reason"]:
            text.append(f"  {step['reason']}", style="dim")
        return text


def _last(lead: Watched) -> Text:
    touch = lead.last_touch()
    if touch is None:
        return Text("")
    style = "red" if touch["status"] in _BAD else "yellow" if touch["status"] in {"delayed", "skipped"} else ""
    return Text(
        f"{touch['step']} {CHANNEL_WORDS.get(touch.get('channel') or '', 'step')} {touch['status']}", style=style
    )
