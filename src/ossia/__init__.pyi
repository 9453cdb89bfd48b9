from ossia.agent.model import Chat as Chat
from ossia.agent.model import Model as Model
from ossia.errors import OssiaError as OssiaError
from ossia.hub.load import load as load

__version__: str
